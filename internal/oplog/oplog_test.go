package oplog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// Failures of one kind are written once a second: the first at once, then the
// latest of those that came since, with the number of the others.
func TestRepeatedFailures(t *testing.T) {
	type say struct {
		after time.Duration // since the last
		text  string        // level, message, then attributes
	}
	for _, test := range []struct {
		name string
		says []say
		want []string // time since the start, level, message, attributes
	}{
		{
			"one by one",
			[]say{{0, "WARN a n=1"}, {2 * time.Second, "WARN a n=2"}},
			[]string{"0s WARN a n=1", "2s WARN a n=2"},
		},
		{
			"a burst",
			[]say{{0, "WARN a n=1"}, {0, "WARN a n=2"}, {0, "WARN a n=3"}, {0, "WARN a n=4"}},
			[]string{"0s WARN a n=1", "1s WARN a n=4 suppressed=2"},
		},
		{
			"one repeat is only late",
			[]say{{0, "ERROR a n=1"}, {time.Second / 2, "ERROR a n=2"}},
			[]string{"0s ERROR a n=1", "1s ERROR a n=2"},
		},
		{
			"the second after is limited too",
			[]say{{0, "WARN a n=1"}, {0, "WARN a n=2"}, {1500 * time.Millisecond, "WARN a n=3"}, {0, "WARN a n=4"}},
			[]string{"0s WARN a n=1", "1s WARN a n=2", "2s WARN a n=4 suppressed=1"},
		},
		{
			"events are not failures",
			[]say{{0, "INFO a"}, {0, "INFO a"}, {0, "DEBUG a"}, {0, "DEBUG a"}},
			[]string{"0s INFO a", "0s INFO a", "0s DEBUG a", "0s DEBUG a"},
		},
		{
			"kinds",
			[]say{
				{0, "WARN a outcome=x"},
				{0, "WARN b outcome=x"},
				{0, "WARN a outcome=y"},
				{0, "WARN a outcome=x issuer=i"},
				{0, "WARN a outcome=x listener=l"},
				{0, "WARN a result=x"},
				{0, "WARN a reason=x"},
				{0, "WARN a key=x"},
			},
			[]string{
				"0s WARN a outcome=x", "0s WARN b outcome=x", "0s WARN a outcome=y", "0s WARN a outcome=x issuer=i",
				"0s WARN a outcome=x listener=l", "0s WARN a result=x", "0s WARN a reason=x", "0s WARN a key=x",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var lines lines
				level := new(slog.LevelVar)
				level.Set(slog.LevelDebug)
				log, err := New(&lines, level, "text")
				if err != nil {
					t.Fatal(err)
				}
				for _, say := range test.says {
					time.Sleep(say.after) // synctest's clock
					words := strings.Fields(say.text)
					var attrs []slog.Attr
					for _, word := range words[2:] {
						key, value, _ := strings.Cut(word, "=")
						attrs = append(attrs, slog.String(key, value))
					}
					var l slog.Level
					if err := l.UnmarshalText([]byte(words[0])); err != nil {
						t.Fatal(err)
					}
					log.LogAttrs(t.Context(), l, words[1], attrs...)
				}
				time.Sleep(10 * window)
				got := lines.since(start)
				if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
					t.Errorf("got  %q\nwant %q", got, test.want)
				}
			})
		})
	}
}

// lines keeps what is written, with the time at which it was.
type lines struct {
	mu    sync.Mutex
	texts []string
	at    []time.Time
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.texts = append(l.texts, string(b))
	l.at = append(l.at, time.Now())
	return len(b), nil
}

// since returns the lines as "1s WARN message attributes".
func (l *lines) since(start time.Time) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for i, text := range l.texts {
		_, text, _ = strings.Cut(text, "level=")
		text = strings.Replace(strings.TrimSpace(text), "msg=", "", 1)
		all = append(all, fmt.Sprint(l.at[i].Sub(start), " ", text))
	}
	return all
}

// With's attributes are part of the kind, and go out with what was held back.
func TestKindsOfWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var lines lines
		log, err := New(&lines, new(slog.LevelVar), "text")
		if err != nil {
			t.Fatal(err)
		}
		a, b := log.With("listener", "a"), log.With("listener", "b")
		for range 3 {
			a.Warn("accept")
			b.Warn("accept")
		}
		// In a group, these names are the group's own.
		group := log.WithGroup("g")
		group.Warn("fetch", "issuer", "x")
		group.Warn("fetch", "issuer", "y")
		time.Sleep(10 * window)
		got := map[string]int{}
		for _, line := range lines.since(start) {
			got[line]++
		}
		for _, line := range []string{
			"0s WARN accept listener=a", "1s WARN accept listener=a suppressed=1",
			"0s WARN accept listener=b", "1s WARN accept listener=b suppressed=1",
			"0s WARN fetch g.issuer=x", "1s WARN fetch g.issuer=y",
		} {
			if got[line] != 1 {
				t.Errorf("%q came %d times", line, got[line])
			}
		}
		if len(got) != 6 {
			t.Errorf("got %v", got)
		}
	})
}

// Nothing is kept of a kind that is quiet.
func TestQuietKindsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := limit(slog.NewTextHandler(io.Discard, nil)).(*limiter)
		log := slog.New(h)
		for i := range 100 {
			log.Warn("failed", "issuer", i)
			log.Warn("failed", "issuer", i)
		}
		time.Sleep(3 * window)
		synctest.Wait()
		h.held.mu.Lock()
		defer h.held.mu.Unlock()
		if n := len(h.held.kinds); n != 0 {
			t.Errorf("%d kinds are kept", n)
		}
	})
}

// What an operator did is written whatever the level, and as often as it was
// done.
func TestAudit(t *testing.T) {
	for format, want := range map[string]string{"json": `"level":"AUDIT","msg":"done"`, "text": "level=AUDIT msg=done"} {
		var out bytes.Buffer
		level := new(slog.LevelVar)
		level.Set(slog.LevelError)
		log, err := New(&out, level, format)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			log.LogAttrs(t.Context(), LevelAudit, "done")
		}
		if n := strings.Count(out.String(), want); n != 10 {
			t.Errorf("%s: written %d times of 10:\n%s", format, n, &out)
		}
	}
}

func TestTextsAreBounded(t *testing.T) {
	long := strings.Repeat("é", maxText)
	var out bytes.Buffer
	log, err := New(&out, new(slog.LevelVar), "json")
	if err != nil {
		t.Fatal(err)
	}
	log.With("with", long).Info(long, "text", long, "error", errors.New(long),
		slog.Group("group", "text", long), "short", "ok", "number", 5,
		"stack", long+long+long+long+long)
	var record struct {
		Msg, With, Text, Error, Short string
		Number                        int
		Stack                         string
		Group                         struct{ Text string }
	}
	if err := json.Unmarshal(out.Bytes(), &record); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{record.Msg, record.With, record.Text, record.Error, record.Group.Text} {
		if len(text) > maxText || len(text) < maxText-4 || !utf8.ValidString(text) || !strings.HasSuffix(text, "é…") {
			t.Errorf("%d bytes: %.10s", len(text), text)
		}
	}
	if n := len(record.Stack); n > maxStack || n < maxStack-4 {
		t.Errorf("a stack of %d bytes", n)
	}
	if record.Short != "ok" || record.Number != 5 {
		t.Errorf("changed: %+v", record)
	}
}

// In JSON too, where slog would write nanoseconds.
func TestDurations(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log, err := New(&out, new(slog.LevelVar), format)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("drained", "duration", 1500*time.Millisecond)
		want := map[string]string{"json": `"duration":"1.5s"`, "text": "duration=1.5s"}[format]
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: no %s in %s", format, want, out.String())
		}
	}
}

func TestForeign(t *testing.T) {
	for in, want := range map[string]string{
		"":                                      "",
		"device-1@example.com":                  "device-1@example.com",
		"a b":                                   "a%20b",
		"x\nlevel=ERROR":                        "x%0Alevel%3DERROR",
		"\x00\xff":                              "%00%FF",
		"é":                                     "%C3%A9",
		strings.Repeat("a", 64):                 strings.Repeat("a", 64),
		strings.Repeat("a", 65):                 strings.Repeat("a", 61) + "…",
		strings.Repeat("\n", 21):                strings.Repeat("%0A", 21),
		strings.Repeat("\n", 22):                strings.Repeat("%0A", 20) + "…",
		strings.Repeat("a", 59) + "\n" + "bbbb": strings.Repeat("a", 59) + "…",
		strings.Repeat("a", 58) + "\n" + "bbbb": strings.Repeat("a", 58) + "%0A…",
		strings.Repeat("a", 60) + "\n" + "b":    strings.Repeat("a", 60) + "%0Ab",
		strings.Repeat("a", 60) + "\n" + "bb":   strings.Repeat("a", 60) + "…",
		"\"\\" + strings.Repeat("z", 1<<20):     "%22%5C" + strings.Repeat("z", 55) + "…",
	} {
		if got := Foreign(in).String(); got != want || len(got) > maxForeign {
			t.Errorf("%.20q: got %s, want %s", in, got, want)
		}
	}
}

func TestNoSuchFormat(t *testing.T) {
	if _, err := New(io.Discard, new(slog.LevelVar), "xml"); err == nil {
		t.Error("accepted")
	}
}
