package load

import (
	"context"
	"io"
	"maps"
	"net"
	"testing"
	"time"
)

func (t *tally) retriesSoFar() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.retries)
}

// ownAddress is one from which nobody connects by default: its ports stay free
// between two servers.
func ownAddress() string {
	if loopback.IsValid() {
		return "127.200.0.1:0"
	}
	return "127.0.0.1:0"
}

// restartable is a server on a fixed port that can be ended and started again.
type restartable struct {
	t       *testing.T
	address string
	stop    func()
}

func (s *restartable) start() {
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.address = listener.Addr().String()
	var conns []net.Conn
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			conns = append(conns, nc)
			_, _ = io.WriteString(nc, "pong\n")
		}
	}()
	s.stop = func() {
		listener.Close()
		<-ended
		for _, nc := range conns {
			_ = nc.(*net.TCPConn).SetLinger(0)
			nc.Close()
		}
	}
}

// A storm after a restart, which the run itself asks for.
func TestStormAfterRestart(t *testing.T) {
	server := &restartable{t: t, address: ownAddress()}
	server.start()
	defer func() { server.stop() }() // the last one
	cuts := 0
	r := do(t, Config{
		Mode: Storm, Protocol: Lines, Address: server.address, Connections: 20, Source: loopback,
		Cut: func(context.Context) error {
			server.stop()
			server.start()
			cuts++
			return nil
		},
	})
	if len(r.Back) != 20 || cuts != 1 {
		t.Errorf("%d back after %d restarts", len(r.Back), cuts)
	}
}

// A storm that the server makes: the run notices, and waits for it to be there
// again.
func TestStormByServer(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		server := &restartable{t: t, address: ownAddress()}
		server.start()
		c := Config{Mode: Storm, Protocol: Lines, Address: server.address, Connections: 20, Source: loopback, CutByServer: true}
		p, err := newPlan(c.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		if p.target, err = resolve(t.Context(), c.Address); err != nil {
			t.Fatal(err)
		}
		run, err := newRun(p)
		if err != nil {
			t.Fatal(err)
		}
		if secure { // the goroutines, here without TLS
			run.fleet.close()
			run.fleet = newStreams(run.devices, run.tallies)
		}
		defer run.fleet.close()
		if err := run.enter(t.Context(), c.Connections); err != nil {
			t.Fatal(err)
		}
		server.stop()
		started := make(chan struct{})
		go func() { // while the devices find nobody there
			defer close(started)
			for len(run.tallies[0].retriesSoFar()) == 0 && t.Context().Err() == nil {
				time.Sleep(time.Millisecond)
			}
			server.start()
		}()
		result, err := run.whole(t.Context())
		<-started
		defer server.stop()
		if err != nil || len(result.Back) != 20 || result.Failed > 0 {
			t.Errorf("%d back, %d failed %v, %v", len(result.Back), result.Failed, result.Errors, err)
		}
	})
}
