package load

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// A result of each mode, as text, as JSON and as a chart.
func TestReports(t *testing.T) {
	s := newSite(t, nil)
	common := []string{"address", "connections", "errors", "failed", "login_us", "logins", "mode", "protocol", "retries", "seconds", "server", "tls"}
	for name, test := range map[string]struct {
		config Config
		json   []string // besides the common ones
		text   []string
	}{
		"ping": {
			Config{Mode: Ping, Count: 10, Rate: 200, Strangers: &Strangers{Rate: 100}},
			[]string{"latency_us", "messages", "messages_per_second", "pipeline", "rate", "strangers"},
			[]string{"connections, 1 outstanding, 200 a second\n", "  messages ", "  latency ", "p99.9 ", "  strangers ", ": 7 bye invalid_token\n"},
		},
		"echo": {
			Config{Mode: Echo, Count: 100, Size: 36, Pipeline: 4},
			[]string{"latency_us", "messages", "messages_per_second", "pipeline", "size"},
			[]string{"4 outstanding, 36 bytes\n", "  messages  100 in "},
		},
		"login": {Config{Mode: Login, Count: 10}, []string{"logins_per_second"}, []string{"  logins ", " a login; "}},
		"idle":  {Config{Mode: Idle, Steps: []int{1, 2}}, []string{"memory", "bytes_per_session"}, []string{"  memory ", "2 sessions: ", "  a session "}},
		"storm": {Config{Mode: Storm}, []string{"back", "seconds_to_half", "seconds_to_all"}, []string{"  back ", "2 of 2; half of them after "}},
	} {
		t.Run(name, func(t *testing.T) {
			test.config.Connections, test.config.PID = 2, os.Getpid()
			r := do(t, s.to(test.config, false))
			if r.Strangers != nil { // whether any got so far is a matter of time
				r.Strangers.Outcomes = map[string]int{"bye invalid_token": 7}
			}

			text, doc := new(bytes.Buffer), map[string]any{}
			if err := r.WriteText(text); err != nil {
				t.Fatal(err)
			}
			for _, want := range append(test.text, name+" at 127.", "  failed ", " 0 of 2 connections\n") {
				if !strings.Contains(text.String(), want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
			encoded, err := json.Marshal(r)
			if err == nil {
				err = json.Unmarshal(encoded, &doc)
			}
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Sorted(slices.Values(append(test.json, common...)))
			if got := slices.Sorted(maps.Keys(doc)); !slices.Equal(got, want) {
				t.Errorf("members %v, want %v", got, want)
			}
			for _, secret := range r.Config.Tokens {
				if shown := text.String() + string(encoded); strings.Contains(shown, secret[len(secret)-16:]) {
					t.Error("a token is shown")
				}
			}
			wellFormed(t, r.Chart().SVG())
		})
	}
}

func wellFormed(t *testing.T, doc []byte) {
	t.Helper()
	for decoder := xml.NewDecoder(bytes.NewReader(doc)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
	}
}

func TestFailuresInWords(t *testing.T) {
	r := &Result{Config: Config{Connections: 9}, Failed: 4, Errors: map[string]int{"reset": 1, "timeout": 3, "tls": 1}, Causes: map[string]string{"tls": "x509: no"}}
	if got, want := r.Failures(), "4 of 9 connections failed: 3 timeout, 1 reset, 1 tls (x509: no)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := (&Result{}).Failures(); got != "" {
		t.Errorf("%q", got)
	}
}

func TestPerSession(t *testing.T) {
	for _, test := range []struct {
		memory []Memory
		want   float64
	}{
		{nil, 0},
		{[]Memory{{0, 1000}, {10, 5000}}, 400},
		{[]Memory{{0, 1000}, {10, 5000}, {20, 8000}, {30, 9000}}, 200}, // what comes with the first is not each one's
	} {
		if got := (&Result{Memory: test.memory}).PerSession(); got != test.want {
			t.Errorf("%v: %v, want %v", test.memory, got, test.want)
		}
	}
}
