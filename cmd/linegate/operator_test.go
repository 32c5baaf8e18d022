package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What an operator asks of a process, on connections that are used once: it may be
// short of descriptors, and what it has is counted.

func operatorsClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
}

func get(t *testing.T, url string, want int) string {
	t.Helper()
	response, err := operatorsClient().Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != want {
		t.Errorf("%s: %d, want %d: %s", url, response.StatusCode, want, body)
	}
	return string(body)
}

// metric scrapes one series.
func metric(t *testing.T, ops, series string) (value float64) {
	t.Helper()
	for line := range strings.Lines(get(t, ops+"/metrics", http.StatusOK)) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			if _, err := fmt.Sscan(text, &value); err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	t.Fatalf("no %s", series)
	return 0
}

func (p *process) metric(series string) int {
	p.t.Helper()
	return int(metric(p.t, p.ops, series))
}

func (p *process) waitMetric(series string, want int) {
	p.t.Helper()
	waitUntil(p.t, fmt.Sprintf("%s = %d", series, want), func() bool { return p.metric(series) == want })
}

// ready waits until it may be sent devices.
func (p *process) ready() *process {
	p.t.Helper()
	waitUntil(p.t, "ready", func() bool { return isReady(p.ops) })
	return p
}

func isReady(ops string) bool {
	status, _ := readyz(ops)
	return status == http.StatusOK
}

// readyz returns what /readyz answers; 0: nothing.
func readyz(ops string) (status int, body string) {
	response, err := operatorsClient().Get(ops + "/readyz")
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// ask makes a request about revocations, and reads what it was told into answer.
func (p *process) ask(token, method, path, body string, status int, answer any) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.admin+"/v1/revocations"+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := operatorsClient().Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && answer != nil {
		err = json.Unmarshal(text, answer)
	}
	if err != nil || response.StatusCode != status {
		p.t.Fatalf("%s, want %d: %s, %v", response.Status, status, text, err)
	}
}
