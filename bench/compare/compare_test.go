package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/load"
)

// The table has medians of the rounds, quotients of the same round, and says
// which goal is met; rows and columns without a figure are left out.
func TestTable(t *testing.T) {
	rounds := []figures{
		{{ping1, linegate}: 9, {ping1, redis}: 10, {ping32, linegate}: 0.3, {ping32, redis}: 0.5, {idle, linegate}: 5.04},
		{{ping1, linegate}: 30, {ping1, redis}: 20, {ping32, linegate}: 0.31, {ping32, redis}: 0.5, {idle, linegate}: 5.06},
		{
			{ping1, linegate}: 12, {ping1, redis}: 10, {ping32, linegate}: 0.2, {ping32, redis}: 0.5, {idle, linegate}: 4,
			{stormLive + failures, redis}: 2, {stormLive + retries, redis}: 3, {stormLive + overflows, redis}: 4,
		},
	}
	want := strings.Join([]string{
		"| what | linegate | Redis | seen | must | aim | |",
		"| --- | --- | --- | --- | --- | --- | --- |",
		"| ping, one outstanding: µs | 12.0 | 10.0 | 1.20x Redis | 1.35x | 1.10x | must met |",
		"| ping, 32 outstanding: µs | 0.300 | 0.500 | 0.60x Redis | 0.65x | 0.50x | must met |",
		"| idle session: kB | 5.04 |  | 5.0 kB | 4.5 | 3.7 | **not met** |",
		"",
		"- storm, server still up, Redis: 2 connections failed, 3 were told to come back, 4 SYNs met a full accept queue.",
		"",
	}, "\n")
	if got := table(rounds); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A storm after which somebody is not back is no storm survived, in whichever round
// that was, and however fast the others were.
func TestTableOfAStorm(t *testing.T) {
	rounds := []figures{
		{{stormLive, linegate}: 1, {stormLive, redis}: 1, {stormLive + failures, linegate}: 0},
		{{stormLive, linegate}: 1, {stormLive, redis}: 1, {stormLive + failures, linegate}: 7},
		{{stormLive, linegate}: 1, {stormLive, redis}: 1, {stormLive + failures, linegate}: 0},
	}
	got := table(rounds)
	for _, want := range []string{
		"| storm, server still up: s | 1.00 | 1.00 | 1.00x Redis | 1.60x | 1.25x | **not met** |\n",
		"- storm, server still up, linegate: 7 connections failed",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("without %q\n%s", want, got)
		}
	}
}

// The page says how many rounds its medians are of.
func TestFacts(t *testing.T) {
	b := &bench{bin: t.TempDir()}
	for rounds, want := range map[int]string{1: ", in full. One round.\n", 3: ", in full. Medians of 3 rounds.\n"} {
		if got := b.facts(t.Context(), rounds); !strings.Contains(got, want) {
			t.Errorf("%d rounds: %q", rounds, got)
		}
	}
}

// What a new token costs is counted in checks above the connection.
func TestAboveConnect(t *testing.T) {
	f := figures{{newLogin, linegate}: 110, {seenLogin, goserver}: 44}
	if _, ok := aboveConnect(f); ok {
		t.Error("without a check")
	}
	f[key{bareCheck, linegate}] = 60
	if got, ok := aboveConnect(f); !ok || got != 1.1 {
		t.Errorf("%v, %v", got, ok)
	}
}

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{3: {9, 1, 3}, 2.5: {1, 4}, 7: {7}} {
		var rounds []figures
		for _, v := range values {
			rounds = append(rounds, figures{{ping1, redis}: v})
		}
		if got, ok := median(append(rounds, figures{}), at(ping1, redis)); !ok || got != want {
			t.Errorf("%v: %v", values, got)
		}
	}
	if _, ok := median([]figures{{}}, at(ping1, redis)); ok {
		t.Error("of nothing")
	}
}

func TestBend(t *testing.T) {
	for want, points := range map[float64][]load.Memory{
		0:  {{Sessions: 0, Bytes: 100}, {Sessions: 10, Bytes: 200}, {Sessions: 20, Bytes: 300}},
		10: {{Sessions: 0, Bytes: 100}, {Sessions: 10, Bytes: 220}, {Sessions: 20, Bytes: 300}},
		25: {{Sessions: 10, Bytes: 100}, {Sessions: 20, Bytes: 150}, {Sessions: 30, Bytes: 300}},
	} {
		if got := bend(points); got != want {
			t.Errorf("%v: %v, want %v", points, got, want)
		}
	}
}

// Only what stands between the markers is replaced.
func TestWritePage(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("above\n" + beginMarker + "\nold\n" + endMarker + "\nbelow\n")
	for _, text := range []string{"new\n", "newer\n"} {
		if err := writePage(page, text); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(page); string(got) != "above\n"+beginMarker+"\n"+text+endMarker+"\nbelow\n" {
			t.Errorf("%q, %v", got, err)
		}
	}
	write("no markers")
	if err := writePage(page, "x"); err == nil || !strings.Contains(err.Error(), "it lacks the markers") {
		t.Errorf("%v", err)
	}
}

// The gateway under measurement has its defaults, and a configuration that it
// takes without a warning.
func TestLinegateConfig(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	if err := b.prepare(); err != nil {
		t.Fatal(err)
	}
	defer b.close()
	for _, v := range []variant{{}, {tls: true}, {strangers: true}} {
		file := filepath.Join(t.TempDir(), "linegate.yaml")
		text := b.linegateConfig(&server{address: "127.0.0.1:1", ops: "127.0.0.1:2", variant: v})
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, warnings, err := config.Load(config.Options{Path: file})
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%v, %v in\n%s", err, warnings, text)
		}
		if all := cfg.Limits.Unauthenticated == cfg.Limits.Connections && cfg.Limits.Connections > 0; all != v.strangers {
			t.Errorf("%+v: limits %+v", v, cfg.Limits)
		}
	}
}

// Tokens are all different, also from those made before.
func TestTokens(t *testing.T) {
	iss, err := newIssuer()
	if err != nil {
		t.Fatal(err)
	}
	defer iss.server.Close()
	seen := map[string]bool{}
	for range 2 {
		tokens, err := iss.tokens(20)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range tokens {
			seen[token] = true
		}
	}
	if len(seen) != 40 {
		t.Errorf("%d different tokens of 40", len(seen))
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"-bin", "x", "-runs", "0"}, {"-bin", "x", "-only", "("}, {"-bin", "x", "-only", "ping", "-write"}, {"-bin", "x", "more"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: taken", args)
		}
	}
	if err := run(t.Context(), []string{"-bin", t.TempDir()}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "linegate is not there") {
		t.Errorf("%v", err)
	}
}
