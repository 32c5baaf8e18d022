package load

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/config"
)

// Every mode against a real gateway, which counts the same as the generator.
func TestModes(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		for name, test := range map[string]struct {
			config                  Config
			logins, pings, messages int // as the gateway counts them
		}{
			"ping":            {Config{Mode: Ping, Connections: 5, Count: 200}, 5, 200, 0},
			"ping, pipelined": {Config{Mode: Ping, Connections: 5, Count: 330, Pipeline: 32}, 5, 330, 0},
			"echo":            {Config{Mode: Echo, Connections: 5, Count: 200, Size: 36}, 5, 0, 200},
			"echo, pipelined": {Config{Mode: Echo, Connections: 5, Count: 200, Size: 1, Pipeline: 32}, 5, 0, 200},
			"long echoes":     {Config{Mode: Echo, Connections: 2, Count: 200, Size: 8000, Pipeline: 100}, 2, 0, 200},
			"idle":            {Config{Mode: Idle, Connections: 5, Steps: []int{2, 5}}, 5, 0, 0},
			"login":           {Config{Mode: Login, Connections: 3, Count: 20}, 20, 0, 0},
			"storm":           {Config{Mode: Storm, Connections: 20}, 40, 0, 0},
			"warm-up":         {Config{Mode: Ping, Connections: 2, Count: 10, Warmup: time.Nanosecond}, 2, 10, 0},
		} {
			t.Run(name, func(t *testing.T) {
				s := newSite(t, nil)
				r := do(t, s.to(test.config, secure))
				s.waitForMetric(t, `linegate_auth_attempts_total{issuer="main",kind="login",outcome="ok"}`, test.logins)
				s.waitForMetric(t, `linegate_lines_received_total{kind="ping"}`, test.pings)
				s.waitForMetric(t, `linegate_lines_received_total{kind="message"}`, test.messages)
				s.waitForMetric(t, "linegate_connections_open", 0)
				if got := test.pings + test.messages; r.Messages != got || r.Latency.Count() != got {
					t.Errorf("%d messages, %d latencies", r.Messages, r.Latency.Count())
				}
				logins := test.logins
				if test.config.Mode == Storm { // the first logins are not what is measured
					logins /= 2
					if len(r.Back) != logins {
						t.Errorf("%d are back", len(r.Back))
					}
				}
				if r.Logins != logins || r.Login.Count() != logins {
					t.Errorf("%d logins, %d latencies", r.Logins, r.Login.Count())
				}
			})
		}
	})
}

// waitForMetric waits until a series has its value: the gateway counts a line
// after it was answered.
func (s *site) waitForMetric(t *testing.T, series string, want int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); s.metric(t, series) != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%s is %d, want %d", series, s.metric(t, series), want)
			return
		}
	}
}

func (s *site) metric(t *testing.T, series string) int {
	t.Helper()
	response, err := http.Get("http://" + s.app.OpsAddr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), series+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	t.Fatalf("no series %s", series)
	return 0
}

// A run by the clock ends, and a rate is not exceeded.
func TestDurationAndRate(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		s := newSite(t, nil)
		const length = 300 * time.Millisecond
		r := do(t, s.to(Config{Mode: Ping, Connections: 4, Duration: length, Rate: 200}, secure))
		if r.Messages > 60 || r.Elapsed < length {
			t.Errorf("%d messages in %v, at most 200 a second", r.Messages, r.Elapsed)
		}
		if r := do(t, s.to(Config{Mode: Login, Connections: 4, Duration: length, Warmup: 50 * time.Millisecond}, secure)); r.Logins == 0 || r.Elapsed < length {
			t.Errorf("%d logins in %v", r.Logins, r.Elapsed)
		}
	})
}

// With a rate, a latency counts from when the message was due: a server that
// stands still shows in every message that it held up.
func TestRateCountsWaiting(t *testing.T) {
	const stall = 200 * time.Millisecond
	var pings atomic.Int32
	address := script(t, func(_ int, line string) string {
		if pings.Add(1) == 2 { // the first stands for the login
			time.Sleep(stall)
		}
		return "pong\n"
	})
	r := do(t, Config{Mode: Ping, Protocol: Lines, Address: address, Connections: 1, Count: 10, Rate: 50})
	if r.Latency.Percentile(50) < stall/4 {
		t.Errorf("half of the latencies are below %v: %v", stall/4, spread(&r.Latency))
	}
}

// A run that is given up ends at once.
func TestCancelled(t *testing.T) {
	t.Parallel()
	forBoth(t, func(t *testing.T, secure bool) {
		s := newSite(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		c := s.to(Config{Mode: Ping, Connections: 4, Duration: time.Hour}, secure)
		c.Progress = func(p Progress) {
			if p.Messages > 0 {
				cancel()
			}
		}
		if _, err := Run(ctx, c); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// Connections come from the prefix's addresses in turn.
func TestSources(t *testing.T) {
	seen := make(chan string, 10)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			seen <- nc.RemoteAddr().(*net.TCPAddr).IP.String()
			_, _ = io.WriteString(nc, "pong\n")
			nc.Close()
		}
	}()
	do(t, Config{Mode: Login, Protocol: Lines, Address: listener.Addr().String(), Connections: 1, Count: 3, Source: loopback})
	for i := range 3 {
		if got, want := <-seen, sourceAt(netip.MustParsePrefix("127.0.0.0/8"), uint32(i)).String(); loopback.IsValid() && got != want {
			t.Errorf("from %s, want %s", got, want)
		}
	}
}

// A gateway that is full tells the rest to retry, and lets them in when there is
// room again.
func TestFullGateway(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *config.Config) { c.Limits.Connections, c.Limits.Unauthenticated = 3, 3 })
	r := do(t, s.to(Config{Mode: Login, Connections: 6, Count: 30}, false))
	if r.Logins != 30 {
		t.Errorf("%d logins", r.Logins)
	}
}
