package main

import (
	"encoding/json"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/linegate/linegate/auth/authtest"
)

// The table for people and the lines for programs, of subjects that are up to
// something.
func TestSessions(t *testing.T) {
	o := operate(t, nil)
	if got := o.run("sessions"); got != (result{exitOK, "No sessions.\n", ""}) {
		t.Errorf("%+v", got)
	}
	subjects := map[string]string{ // as the table shows them
		"alice":                  "alice",
		"mal\nFORGED  main  x":   `"mal\nFORGED  main  x"`,
		"\x1b]0;owned\a\u009b1m": `"\x1b]0;owned\a\u009b1m"`,
	}
	for subject := range subjects {
		o.connect(authtest.Sub(subject))
	}
	kid := o.issuer.SigningKey().ID

	got := o.run("sessions")
	lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
	if got.status != exitOK || len(lines) != 1+len(subjects) || strings.Join(strings.Fields(lines[0]), " ") != "SESSION ISSUER SUBJECT CLIENT KEY REMOTE OPEN-FOR EXPIRES-IN" {
		t.Fatalf("%+v", got)
	}
	at := strings.Index(lines[0], "SUBJECT")
	for _, shown := range subjects {
		if !slices.ContainsFunc(lines[1:], func(line string) bool {
			return strings.HasPrefix(line[at:], shown+" ") && strings.Contains(line, " "+authtest.Client+" ") && strings.Contains(line, " "+kid+" ")
		}) {
			t.Errorf("no %s in %s", shown, got.stdout)
		}
	}

	got = o.run("sessions", "--output", "json")
	for line := range strings.Lines(got.stdout) {
		var s struct{ Session, Issuer, Subject, Remote string }
		if err := json.Unmarshal([]byte(line), &s); err != nil || subjects[s.Subject] == "" || s.Issuer != "main" || !strings.HasPrefix(s.Remote, "127.0.0.1:") {
			t.Errorf("%s: %v", line, err)
		}
		if strings.ContainsFunc(line[:len(line)-1], func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("%q", line)
		}
		delete(subjects, s.Subject)
	}
	if len(subjects) > 0 || got.status != exitOK || got.stderr != "" {
		t.Errorf("%+v", got)
	}
}

// Each filter lets through what it names, and together they let through what
// all of them name.
func TestSessionsFilter(t *testing.T) {
	o := operate(t, nil)
	first := o.issuer.SigningKey().ID
	a := o.connect(authtest.Sub("a"), authtest.Claim("client_id", "meter"), authtest.Claim("jti", "t-1"))
	b := o.connect(authtest.Sub("b"), authtest.Claim("client_id", "meter"))
	o.issuer.Rotate()
	c := o.connect(authtest.Sub("a b&c=%"), authtest.Claim("client_id", "valve"))
	for args, want := range map[string][]*connected{
		"":                                    {a, b, c},
		"--issuer|main":                       {a, b, c},
		"--subject|a":                         {a},
		"--subject|a b&c=%":                   {c},
		"--client-id|meter":                   {a, b},
		"--key-id|" + first:                   {a, b},
		"--token-id|t-1":                      {a},
		"--client-id|meter|--subject|b":       {b},
		"--client-id|valve|--key-id|" + first: nil,
		"--limit|3":                           {a, b, c},
	} {
		var ids []string
		for _, d := range want {
			ids = append(ids, d.session)
		}
		slices.Sort(ids)
		got := o.run(append([]string{"sessions", "--output", "json"}, strings.FieldsFunc(args, func(r rune) bool { return r == '|' })...)...)
		var listed []string
		for line := range strings.Lines(got.stdout) {
			var s struct{ Session string }
			if err := json.Unmarshal([]byte(line), &s); err != nil {
				t.Fatal(err)
			}
			listed = append(listed, s.Session)
		}
		if got.status != exitOK || !slices.Equal(listed, ids) {
			t.Errorf("%s: %+v, want %v", args, got, ids)
		}
	}
	if got := o.run("sessions", "--limit", "2"); strings.Count(got.stdout, "\n") != 3 {
		t.Errorf("%+v", got)
	}
}

// Many sessions come in pages, each once: here in pages of two.
func TestSessionsInPages(t *testing.T) {
	o := operate(t, nil)
	var pages atomic.Int32
	small := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		pages.Add(1)
		r.SetURL(&url.URL{Scheme: "http", Host: o.api})
		query := r.Out.URL.Query()
		query.Set("limit", "2")
		r.Out.URL.RawQuery = query.Encode()
	}})
	defer small.Close()
	var ids []string
	for range 5 {
		ids = append(ids, o.connect().session)
	}
	slices.Sort(ids)
	got := run(t, "", "sessions", "--admin-url", small.URL, "--admin-token-file", o.operator())
	var listed []string
	for line := range strings.Lines(got.stdout) {
		listed = append(listed, strings.Fields(line)[0])
	}
	if !slices.Equal(listed, append([]string{"SESSION"}, ids...)) || pages.Load() != 3 {
		t.Errorf("%d pages: %+v", pages.Load(), got)
	}
}
