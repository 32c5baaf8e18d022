package docstest

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/app"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/session"
)

// The table of metrics is what a running gateway shows: names, types, labels,
// and the values of labels that have few.
func TestMetrics(t *testing.T) {
	doc := open(t, "operations.md")
	documented := doc.firsts(doc.rows("metric", "type", "labels", "what it tells"))
	shown := scrape(t)
	sameNames(t, "metric", documented, shown)
	for name, m := range shown {
		row := documented[name]
		if row == nil {
			continue
		}
		if row[1] != m.kind {
			t.Errorf("%s is a %s, the document says %s", name, m.kind, row[1])
		}
		labels := slices.Sorted(maps.Keys(m.labels))
		if said := strings.Fields(row[2]); !slices.Equal(slices.Sorted(slices.Values(said)), labels) {
			t.Errorf("%s has labels %v, the document says %v", name, labels, said)
		}
	}
	for _, row := range doc.rows("label", "values") {
		values := map[string]bool{}
		for _, m := range shown {
			maps.Copy(values, m.labels[row[0]])
		}
		if said := quoted(row[1]); len(said) > 0 {
			sameNames(t, row[0], set(said), values)
		}
	}
}

// The table of outcomes is auth's, and what a client is told is what a session
// says to a renewal that ends so.
func TestOutcomes(t *testing.T) {
	doc := open(t, "operations.md")
	documented := doc.firsts(doc.rows("outcome", "client is told", "means"))
	real := map[string]auth.Outcome{}
	for _, outcome := range auth.Outcomes() {
		real[outcome.String()] = outcome
	}
	sameNames(t, "outcome", documented, real)
	for name, outcome := range real {
		if outcome == auth.OK || documented[name] == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			srv, err := session.NewServer(session.Config{Authenticator: refuser{outcome}})
			if err != nil {
				t.Fatal(err)
			}
			go srv.New(server, nil).Serve()
			told := quoted(documented[name][1])[0]
			for _, step := range []struct{ say, hear string }{
				{"AUTH eyJh.first.c2ln\n", "OK AUTH "},
				{"AUTH eyJh.refused.c2ln\n", "ERR " + told + " "},
			} {
				if _, err := io.WriteString(client, step.say); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, 512)
				n, err := client.Read(got)
				if err != nil || !strings.HasPrefix(string(got[:n]), step.hear) {
					t.Errorf("got %q, %v; want %s", got[:n], err, step.hear)
				}
			}
		})
	}
}

// refuser lets a client in, and refuses its renewals.
type refuser struct{ outcome auth.Outcome }

func (r refuser) Verify(ctx context.Context, token string, proof auth.Proof) (*auth.Identity, error) {
	if token == "eyJh.refused.c2ln" {
		return nil, &auth.Error{Outcome: r.outcome}
	}
	return new(cast).Verify(ctx, token, proof)
}

// metric is what /metrics shows of one name.
type metric struct {
	kind   string
	labels map[string]map[string]bool // values seen, by label
}

var (
	typeLine   = regexp.MustCompile(`(?m)^# TYPE (linegate_\w+) (\w+)$`)
	seriesLine = regexp.MustCompile(`(?m)^(linegate_\w+)(?:\{(.*)\})? \S+$`)
	labelPair  = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// scrape runs a gateway, its issuer out of reach, and reads its metrics.
func scrape(t *testing.T) map[string]metric {
	t.Helper()
	t.Chdir(t.TempDir())
	writeCertificates(t)
	c := config.Default()
	c.Listen = []config.Listener{{Name: "devices", Address: "127.0.0.1:0", TLS: &config.TLS{Cert: "tls.crt", Key: "tls.key"}}}
	c.Ops.Address = "127.0.0.1:0"
	c.Drain.Timeout = 0
	issuer := config.NewIssuer()
	issuer.Name, issuer.Issuer = "main", "http://127.0.0.1:1"
	issuer.Audience, issuer.RequiredScopes = []string{"linegate"}, []string{"line:connect"}
	c.Issuers = []config.Issuer{issuer}
	a, err := app.New(c, app.Options{Log: slog.New(slog.DiscardHandler), LogLevel: new(slog.LevelVar), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	text := get(t, "http://"+a.OpsAddr().String()+"/metrics")
	all := map[string]metric{}
	for _, found := range typeLine.FindAllStringSubmatch(text, -1) {
		all[found[1]] = metric{found[2], map[string]map[string]bool{}}
	}
	for _, found := range seriesLine.FindAllStringSubmatch(text, -1) {
		m, ok := all[found[1]]
		if !ok {
			continue // the parts of a histogram
		}
		for _, pair := range labelPair.FindAllStringSubmatch(found[2], -1) {
			if m.labels[pair[1]] == nil {
				m.labels[pair[1]] = map[string]bool{}
			}
			m.labels[pair[1]][pair[2]] = true
		}
	}
	return all
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, response.Status, err)
	}
	return string(text)
}

func set(words []string) map[string]bool {
	all := map[string]bool{}
	for _, word := range words {
		all[word] = true
	}
	return all
}
