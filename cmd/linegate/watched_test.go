package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What is seen of the program in a process of its own, while it is short of
// something.

// live has every session answer.
func (p *killable) live(sessions []*answers) {
	p.t.Helper()
	for _, s := range sessions {
		s.say("ping")
		s.want("pong")
	}
}

// metric is a metric without labels, scraped on a connection of its own.
func (p *killable) metric(name string) int {
	p.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	response, err := client.Get(p.ops + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	_, value, found := strings.Cut(string(body), "\n"+name+" ")
	value, _, _ = strings.Cut(value, "\n")
	n, err := strconv.ParseFloat(value, 64)
	if !found || err != nil {
		p.t.Fatalf("no %s: %v", name, err)
	}
	return int(n)
}

// waitMetric polls for what no event tells.
func (p *killable) waitMetric(name string, want int) {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); p.metric(name) != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s is not %d in 20 s, but %d", name, want, p.metric(name))
		}
	}
}

type record struct {
	Msg        string
	Time       time.Time
	Suppressed int
}

func (p *killable) nextRecord(message string) (r record) {
	p.t.Helper()
	for line := range p.records {
		if json.Unmarshal(line, &r) == nil && r.Msg == message {
			return r
		}
	}
	p.t.Fatalf("the log ended without a record %q", message)
	return r
}
