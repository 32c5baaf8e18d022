package load

import (
	"fmt"
	"testing"
	"time"
)

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
