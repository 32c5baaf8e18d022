package main

import (
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// fleetSize is how many devices talk while gateways are replaced.
const fleetSize = 100

// TestRestartUnderLoad: two processes have one socket, as systemd hands it over,
// and the old one drains while the new one accepts. Nobody is refused, every
// answer is whole and has come, and every device is back.
func TestRestartUnderLoad(t *testing.T) {
	issuer := authtest.Serve(t)
	inDir(t, configuration(issuer, "listen: [{address: systemd:devices}]", "drain: {timeout: 2s}"))
	var sockets handed
	device := sockets.socket(t, "devices", "127.0.0.1:0")
	old := launch(t, sockets.command()).listens().ready()
	fleet := startFleet(t, fleetSize, device, issuer.Token())
	next := launch(t, sockets.command()).listens().ready()
	old.end(syscall.SIGTERM, exitOK)
	fleet.progress()
	if open := next.metric("linegate_sessions_open"); open != fleetSize {
		t.Errorf("%d sessions are open", open)
	}
	fleet.end()
	fleet.wantReconnects(1)
	next.end(syscall.SIGTERM, exitOK)
}

// TestRollingUpdateUnderLoad: two gateways behind a balancer that follows /readyz
// are replaced one by one, each when its successor is ready, as Kubernetes does.
// The same holds.
func TestRollingUpdateUnderLoad(t *testing.T) {
	issuer := authtest.Serve(t)
	inDir(t, configuration(issuer, onePort, "drain: {delay: 3s, timeout: 2s}"))
	b := newBalancer(t)
	start := func() *process {
		p := startProgram(t).ready()
		b.add(p)
		return p
	}
	pods := []*process{start(), start()}
	fleet := startFleet(t, fleetSize, b.address, issuer.Token())
	for _, old := range pods {
		start()
		old.end(syscall.SIGTERM, exitOK)
		b.remove(old)
		fleet.progress()
	}
	if open := b.sessions(); open != fleetSize {
		t.Errorf("%d sessions are open", open)
	}
	fleet.end()
	fleet.wantReconnects(1)
}

// balancer passes connections on to gateways that are ready, in turns.
type balancer struct {
	t       *testing.T
	address string
	done    chan struct{}
	all     sync.WaitGroup

	mu    sync.Mutex
	pods  []*pod
	turns int
}

type pod struct {
	*process
	isReady bool
}

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{t: t, address: l.Addr().String(), done: make(chan struct{})}
	b.all.Go(b.follow)
	b.all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			b.all.Go(func() { b.pass(nc) })
		}
	})
	t.Cleanup(func() {
		close(b.done)
		l.Close()
		b.all.Wait()
	})
	return b
}

// add makes a gateway known that is ready.
func (b *balancer) add(p *process) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pods = append(b.pods, &pod{p, true})
}

func (b *balancer) remove(p *process) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pods = slices.DeleteFunc(b.pods, func(known *pod) bool { return known.process == p })
}

// follow asks each gateway ten times a second.
func (b *balancer) follow() {
	for {
		select {
		case <-b.done:
			return
		case <-time.After(100 * time.Millisecond):
		}
		b.mu.Lock()
		pods := slices.Clone(b.pods)
		b.mu.Unlock()
		for _, p := range pods {
			ready := isReady(p.ops)
			b.mu.Lock()
			p.isReady = ready
			b.mu.Unlock()
		}
	}
}

func (b *balancer) next() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.pods {
		b.turns++
		if p := b.pods[b.turns%len(b.pods)]; p.isReady {
			return p.device
		}
	}
	return ""
}

// pass copies both ways, ends of streams too.
func (b *balancer) pass(client net.Conn) {
	defer client.Close()
	gateway, err := net.Dial("tcp", b.next())
	if err != nil {
		b.t.Errorf("a gateway that was ready refuses: %v", err)
		return
	}
	defer gateway.Close()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(gateway, client)
		_ = gateway.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(client, gateway)
	_ = client.(*net.TCPConn).CloseWrite()
	up.Wait()
}

// sessions sums up what is open.
func (b *balancer) sessions() (sum int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.pods {
		sum += p.metric("linegate_sessions_open")
	}
	return sum
}
