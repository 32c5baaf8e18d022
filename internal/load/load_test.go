package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
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

// Strangers beside the sessions are all refused for their signature, and the
// sessions go on.
func TestStrangers(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		s := newSite(t, nil)
		c := s.to(Config{Mode: Ping, Connections: 4, Rate: 100, Duration: 300 * time.Millisecond}, secure)
		c.Strangers = &Strangers{Rate: 100}
		r := do(t, c)
		for r.Strangers.Attempts == 0 { // a busy machine may take a while for the first
			r = do(t, c)
		}
		got := r.Strangers
		if got.Outcomes["bye invalid_token"] != got.Attempts || r.Messages == 0 {
			t.Errorf("%+v, %d messages", got, r.Messages)
		}
		if s.metric(t, `linegate_auth_attempts_total{issuer="main",kind="login",outcome="signature"}`) < got.Attempts {
			t.Error("the gateway has refused fewer")
		}
	})
}

// A BYE that says retry is obeyed, counted, and no failure; any other is.
func TestToldToRetry(t *testing.T) {
	t.Parallel()
	busy := "BYE temporarily_unavailable action=retry :busy\n"
	for name, test := range map[string]struct {
		mode    Mode
		bye     string
		retries map[string]int
		errors  map[string]int
	}{
		"ping":      {Ping, busy, map[string]int{"bye temporarily_unavailable": 2}, map[string]int{}},
		"login":     {Login, busy, map[string]int{"bye temporarily_unavailable": 2}, map[string]int{}},
		"refused":   {Ping, "BYE invalid_token action=reauth :no\n", map[string]int{}, map[string]int{"bye invalid_token": 2}},
		"fix":       {Login, "BYE invalid_request action=fix :no\n", map[string]int{}, map[string]int{"bye invalid_request": 2}},
		"a new one": {Ping, "BYE n3w! action=what :no\n", map[string]int{"bye other": 2}, map[string]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			address := script(t, func(connection int, line string) string {
				switch {
				case connection < 2:
					return test.bye
				case line == "ping\n":
					return "pong\n"
				}
				return okLine
			})
			r, err := Run(t.Context(), Config{Mode: test.mode, Address: address, Connections: 4, Count: 20, Tokens: []string{"x"}})
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(r.Retries) != fmt.Sprint(test.retries) || fmt.Sprint(r.Errors) != fmt.Sprint(test.errors) {
				t.Errorf("retries %v, errors %v", r.Retries, r.Errors)
			}
			if r.Failed != sum(test.errors) {
				t.Errorf("%d failed", r.Failed)
			}
		})
	}
}

// In a storm too, and whoever is only let in later is back later.
func TestStormToldToRetry(t *testing.T) {
	t.Parallel()
	const connections = 10
	address := script(t, func(connection int, _ string) string {
		if connection >= connections && connection < connections+3 {
			return "BYE too_many_sessions action=retry retry_after=1 :full\n"
		}
		return okLine
	})
	r := do(t, Config{Mode: Storm, Address: address, Connections: connections, Tokens: []string{"x"}})
	if r.Retries["bye too_many_sessions"] != 3 || len(r.Back) != connections {
		t.Errorf("retries %v, %d back", r.Retries, len(r.Back))
	}
	if early, late := r.Back[connections-4], r.Back[connections-3]; late < time.Second || early > late {
		t.Errorf("before retry_after was over: %v", r.Back)
	}
}

// Who never is let in is given up when the time is over.
func TestKeptOut(t *testing.T) {
	address := script(t, func(int, string) string { return "BYE draining action=retry retry_after=60 :\n" })
	r, err := Run(t.Context(), Config{Mode: Ping, Address: address, Connections: 3, Count: 1, Tokens: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 3 || r.Errors[keptOut] != 3 || r.Failures() != "3 of 3 connections failed: 3 kept out" {
		t.Errorf("%+v", r.Failures())
	}
}

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

// What is wrong is named, whoever is wrong.
func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		answer string // to a ping in the session
		mode   Mode
		kind   string
	}{
		"another pong":   {"pong!\n", Ping, wrongReply},
		"another text":   {"from server: xxx2\n", Echo, wrongReply},
		"one too many":   {"pong\npong\n", Ping, wrongReply},
		"a late OK":      {okLine, Ping, wrongReply},
		"ERR":            {"ERR backend_unavailable for=message action=retry\n", Ping, "err backend_unavailable"},
		"BYE":            {"BYE token_expired action=reauth :over\n", Ping, "bye token_expired"},
		"hung up":        {"", Ping, closed},
		"an endless one": {strings.Repeat("x", maxOdd+1), Ping, wrongReply},
	} {
		t.Run(name, func(t *testing.T) {
			address := script(t, func(_ int, line string) string {
				if strings.HasPrefix(line, "AUTH ") {
					return okLine
				}
				return test.answer
			})
			r, err := Run(t.Context(), Config{Mode: test.mode, Size: 4, Address: address, Connections: 2, Count: 50, Tokens: []string{"x"}})
			if err != nil {
				t.Fatal(err)
			}
			if r.Failed != 2 || r.Errors[test.kind] != 2 {
				t.Errorf("%v", r.Errors)
			}
		})
	}
}

// Nobody there, nobody answering, and no TLS.
func TestNoServer(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		s := newSite(t, nil)
		for name, test := range map[string]struct {
			address string
			kind    string
		}{
			"nobody":    {nobody(t), unreachable},
			"silent":    {silent(t), timedOut},
			"the other": {s.app.Addr("plain").String(), handshake},
		} {
			t.Run(name, func(t *testing.T) {
				c := s.to(Config{Mode: Ping, Connections: 2, Count: 1}, secure)
				c.Address = test.address
				switch {
				case name == "silent":
					c.Timeout = 300 * time.Millisecond
				case name == "the other" && !secure:
					c.Address, test.kind = s.app.Addr("tls").String(), closed
				}
				r, err := Run(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				if r.Failed != 2 || r.Errors[test.kind] != 2 {
					t.Errorf("%v", r.Errors)
				}
			})
		}
	})
}

// nobody is a port that nobody listens on.
func nobody(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return listener.Addr().String()
}

// silent is a port on which nothing is accepted.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
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

// A token for strangers differs from a good one in its signature alone, and no
// two are alike.
func TestBadToken(t *testing.T) {
	good := authtest.New(t).Token()
	one, other := badToken(good), badToken(good)
	dot := strings.LastIndexByte(good, '.')
	if one == other || one == good || len(one) != len(good) || one[:dot+1] != good[:dot+1] {
		t.Error("not as it should be")
	}
}
