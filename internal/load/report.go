package load

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// percentiles are those that a report tells.
var percentiles = []struct {
	name, key string
	p         float64
}{
	{"p50", "p50", 50}, {"p90", "p90", 90}, {"p99", "p99", 99}, {"p99.9", "p99_9", 99.9},
}

// WriteText writes the result for a person.
func (r *Result) WriteText(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, r.title())
	line := func(name, format string, values ...any) {
		fmt.Fprintf(table, "  %s\t%s\n", name, fmt.Sprintf(format, values...))
	}
	switch r.Config.Mode {
	case Ping, Echo:
		line("messages", "%d in %s, %.0f a second", r.Messages, seconds(r.Elapsed), r.perSecond(r.Messages))
		line("latency", "%s", spread(&r.Latency))
	case Login:
		line("logins", "%d in %s, %.0f a second", r.Logins, seconds(r.Elapsed), r.perSecond(r.Logins))
		line("latency", "%s", spread(&r.Login))
	case Idle:
		line("held", "%s", seconds(r.Elapsed))
		for _, m := range r.Memory {
			line("memory", "%d sessions: %.1f MB", m.Sessions, float64(m.Bytes)/1e6)
		}
		if len(r.Memory) > 0 {
			line("a session", "%.2f kB", r.PerSession()/1e3)
		}
	case Storm:
		line("back", "%d of %d; half of them after %s, the last after %s", len(r.Back), r.Config.Connections,
			seconds(r.backAt(50)), seconds(r.backAt(100)))
	}
	if s := r.Server; s != nil {
		if n, one := r.Units(); n > 0 {
			line("server", "%s of CPU, %s a %s; %.1f MB resident", seconds(s.CPU), brief(r.CPUPerUnit()), one, float64(s.Resident)/1e6)
		}
	}
	if s := r.Strangers; s != nil {
		line("strangers", "%d in %.1f s: %s", s.Attempts, s.Seconds, counted(s.Outcomes))
	}
	if len(r.Retries) > 0 {
		line("told to retry", "%s", counted(r.Retries))
	}
	line("failed", "%d of %d connections%s", r.Failed, r.Config.Connections, r.because())
	return table.Flush()
}

func (r *Result) title() string {
	c := r.Config
	transport := "plain TCP"
	if c.TLS != nil {
		transport = "TLS"
	}
	title := fmt.Sprintf("%s at %s (%s, %s): %d connections", c.Mode, c.Address, c.Protocol, transport, c.Connections)
	if c.Mode == Ping || c.Mode == Echo {
		title += fmt.Sprintf(", %d outstanding", c.Pipeline)
	}
	if c.Mode == Echo {
		title += fmt.Sprintf(", %d bytes", c.Size)
	}
	if c.Rate > 0 {
		title += fmt.Sprintf(", %d a second", c.Rate)
	}
	return title
}

// Failures is one line about the connections that failed, empty if none did.
func (r *Result) Failures() string {
	if r.Failed == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d connections failed%s", r.Failed, r.Config.Connections, r.because())
}

// because is ": 2 tls (x509: ...), 1 reset", or nothing.
func (r *Result) because() string {
	var words []string
	for _, kind := range kinds(r.Errors) {
		word := fmt.Sprintf("%d %s", r.Errors[kind], kind)
		if cause := r.Causes[kind]; cause != "" {
			word += " (" + cause + ")"
		}
		words = append(words, word)
	}
	if len(words) == 0 {
		return ""
	}
	return ": " + strings.Join(words, ", ")
}

// counted is "2 reset, 1 timeout".
func counted(counts map[string]int) string {
	var words []string
	for _, kind := range kinds(counts) {
		words = append(words, fmt.Sprintf("%d %s", counts[kind], kind))
	}
	return strings.Join(words, ", ")
}

func spread(h *Histogram) string {
	var b strings.Builder
	for _, p := range percentiles {
		fmt.Fprintf(&b, "%s %s  ", p.name, brief(h.Percentile(p.p)))
	}
	fmt.Fprintf(&b, "max %s", brief(h.Max()))
	return b.String()
}

// brief is a duration with three digits or so.
func brief(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.2f µs", float64(d)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	}
	return seconds(d)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// backAt returns when p percent of the devices that came back were in.
func (r *Result) backAt(p int) time.Duration {
	if len(r.Back) == 0 {
		return 0
	}
	return r.Back[max(len(r.Back)*p/100, 1)-1]
}

// MarshalJSON is the result for programs. Members may be joined by others, and
// are left out where the mode has none.
func (r *Result) MarshalJSON() ([]byte, error) {
	c := r.Config
	doc := map[string]any{
		"mode": c.Mode, "protocol": c.Protocol, "address": c.Address, "tls": c.TLS != nil,
		"connections": c.Connections, "seconds": r.Elapsed.Seconds(),
		"failed": r.Failed, "errors": r.Errors, "retries": r.Retries,
	}
	if len(r.Causes) > 0 {
		doc["causes"] = r.Causes
	}
	switch c.Mode {
	case Ping, Echo:
		doc["pipeline"], doc["messages"] = c.Pipeline, r.Messages
		doc["messages_per_second"], doc["latency_us"] = r.perSecond(r.Messages), asJSON(&r.Latency)
		if c.Mode == Echo {
			doc["size"] = c.Size
		}
		if c.Rate > 0 {
			doc["rate"] = c.Rate
		}
	case Login:
		doc["logins_per_second"] = r.perSecond(r.Logins)
	case Idle:
		var memory []map[string]any
		for _, m := range r.Memory {
			memory = append(memory, map[string]any{"sessions": m.Sessions, "bytes": m.Bytes})
		}
		if memory != nil {
			doc["memory"], doc["bytes_per_session"] = memory, r.PerSession()
		}
	case Storm:
		doc["back"] = len(r.Back)
		doc["seconds_to_half"], doc["seconds_to_all"] = r.backAt(50).Seconds(), r.backAt(100).Seconds()
	}
	doc["logins"], doc["login_us"] = r.Logins, asJSON(&r.Login)
	if s := r.Server; s != nil {
		doc["server"] = map[string]any{
			"cpu_seconds": s.CPU.Seconds(), "cpu_us_each": float64(r.CPUPerUnit()) / 1e3, "resident_bytes": s.Resident,
		}
	}
	if s := r.Strangers; s != nil {
		doc["strangers"] = map[string]any{"rate": s.Rate, "seconds": s.Seconds, "attempts": s.Attempts, "outcomes": s.Outcomes}
	}
	return json.Marshal(doc)
}

// asJSON is a histogram in microseconds.
func asJSON(h *Histogram) map[string]any {
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	doc := map[string]any{"count": h.Count(), "mean": us(h.Mean()), "max": us(h.Max())}
	for _, p := range percentiles {
		doc[p.key] = us(h.Percentile(p.p))
	}
	return doc
}
