package trials

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// gateway is a running gateway, as its clients and its operator see it.
type gateway struct {
	t       testing.TB
	process *exec.Cmd
	door
	ops string // URL
}

// door is where devices connect.
type door struct {
	address string
	dialled atomic.Int64
}

const listener = "devices"

// start starts a gateway whose configuration is what every trial needs, and the
// settings given. It waits until the gateway is ready.
func start(t testing.TB, settings string, issuers ...string) *gateway {
	t.Helper()
	file := filepath.Join(t.TempDir(), "linegate.yaml")
	text := "listen: [{name: " + listener + `, address: "127.0.0.1:0"}]
ops: {address: "127.0.0.1:0", pprof: true}
drain: {timeout: 0s}
log: {level: warn}
` + settings + "\nissuers:\n" + strings.Join(issuers, "")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, process: exec.Command(program)}
	log := new(bytes.Buffer)
	g.process.Env = append(os.Environ(), fileVariable+"="+file)
	g.process.Stderr = log
	stdin, err := g.process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := g.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := g.process.Wait(); err != nil {
			t.Errorf("the gateway ended with: %v", err)
		}
		if t.Failed() {
			end := log.Bytes()[max(0, log.Len()-4<<10):]
			t.Logf("the end of the gateway's log:\n%s", end)
		}
	})
	if _, err := fmt.Fscan(stdout, &g.address, &g.ops); err != nil {
		t.Fatalf("the gateway does not say where it listens: %v", err)
	}
	g.ops = "http://" + g.ops
	g.eventually("ready", patience, func() bool { status, _ := g.get("/readyz"); return status == http.StatusOK })
	return g
}

// trusted is an entry of the configuration's issuers.
func trusted(iss *authtest.Issuer, settings string) string {
	return fmt.Sprintf("  - {name: %s, issuer: %q, audience: [%s], required_scopes: [%q], %s}\n",
		iss.Name, iss.URL, authtest.Audience, authtest.Scope, settings)
}

// answer is what a login got.
type answer struct {
	line string // empty: none came
	err  error
	took time.Duration // from before the connection to the end of the line
}

func (a answer) ok() bool { return strings.HasPrefix(a.line, "OK AUTH ") }

// verdict is the answer without what differs from one client to the next.
func (a answer) verdict() string {
	if words := strings.SplitN(a.line, " ", 3); len(words) == 3 {
		return words[0] + " " + words[1]
	}
	cause := a.err
	for errors.Unwrap(cause) != nil {
		cause = errors.Unwrap(cause) // which has no address
	}
	return fmt.Sprintf("%q, %v", a.line, cause)
}

// login is one device that connects, authenticates and goes.
func (g *gateway) login(token string) answer {
	begun := time.Now()
	c, err := g.dial()
	if err != nil {
		return answer{err: err}
	}
	defer c.Close()
	return authenticate(c, token, begun)
}

func authenticate(c net.Conn, token string, begun time.Time) answer {
	_ = c.SetDeadline(begun.Add(patience))
	if _, err := io.WriteString(c, "AUTH "+token+"\n"); err != nil {
		return answer{err: err}
	}
	line, err := bufio.NewReaderSize(c, 256).ReadString('\n')
	return answer{line: line, err: err, took: time.Since(begun)}
}

// patience is how long a client waits for what must come.
const patience = 90 * time.Second

// dial connects from one of many addresses: each has but some 28,000 ports, and
// a closed connection holds its own for a minute.
func (d *door) dial() (net.Conn, error) { return d.dialer().Dial("tcp", d.address) }

func (d *door) dialer() *net.Dialer {
	from := net.IPv4(127, 0, 1, byte(d.dialled.Add(1)%250+1))
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: patience, KeepAlive: -1}
}

func (g *gateway) get(path string) (status int, body string) {
	g.t.Helper()
	// A connection of its own each time, so that none is left to count.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	response, err := client.Get(g.ops + path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// metric returns the value of a metric without labels.
func (g *gateway) metric(name string) float64 {
	g.t.Helper()
	_, body := g.get("/metrics")
	for line := range strings.Lines(body) {
		series, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if series != name {
			continue
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			g.t.Fatalf("%s: %v", line, err)
		}
		return value
	}
	g.t.Fatalf("no series %s", name)
	return 0
}

// eventually polls what no event tells.
func (g *gateway) eventually(what string, within time.Duration, holds func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Fatalf("not %s within %v", what, within)
		}
	}
}

// held is what a gateway holds on to.
type held struct {
	heap        float64 // live, in bytes
	goroutines  float64
	descriptors float64
}

// settled returns what the gateway holds once nobody is connected and it has
// collected its garbage.
func (g *gateway) settled() held {
	g.t.Helper()
	g.eventually("without connections", patience, func() bool { return g.metric("linegate_connections_open") == 0 })
	for range 2 { // what pools hold goes with the second collection
		if status, _ := g.get("/debug/pprof/heap?gc=1"); status != http.StatusOK {
			g.t.Fatalf("no heap profile: status %d", status)
		}
	}
	return held{g.metric("go_memstats_heap_alloc_bytes"), g.metric("go_goroutines"), g.metric("process_open_fds")}
}

// peakDuring returns the most bytes of the process's memory that were resident
// while f ran.
func (g *gateway) peakDuring(f func()) (peak int) {
	g.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f()
	}()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		peak = max(peak, g.resident())
		select {
		case <-ended:
			return peak
		case <-look.C:
		}
	}
}

func (g *gateway) resident() int {
	g.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.process.Process.Pid))
	if err != nil {
		g.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		g.t.Fatal(err)
	}
	return kilobytes << 10
}
