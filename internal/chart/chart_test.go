package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// Every chart is well-formed XML that shows its names, whatever stands in them,
// and lies within its frame.
func TestCharts(t *testing.T) {
	hostile := `a<b>&"c'`
	for name, svg := range map[string][]byte{
		"lines": Lines{
			Title: hostile, X: "seconds", Y: "sessions",
			Series: []Series{{Name: "linegate", Points: []Point{{0, 0}, {0.5, 1200}, {2, 18000}}}, {Name: "none"}},
		}.SVG(),
		"ticks": Lines{
			Title: hostile, X: "percentile", Y: "ms", Ticks: []Tick{{0, "0"}, {1, "90"}, {2, "99"}},
			Series: []Series{{Name: "linegate", Points: []Point{{0, 0.01}, {1.9, 0.03}}}},
		}.SVG(),
		"bars": Bars{
			Title: hostile, Y: "µs", Groups: []string{"ping", "echo"},
			Series: []BarSeries{{"linegate", []float64{8.5, 9.25}}, {"Redis", []float64{5.25, 0}}},
		}.SVG(),
		"empty lines": Lines{Title: hostile}.SVG(),
		"empty bars":  Bars{Title: hostile}.SVG(),
	} {
		t.Run(name, func(t *testing.T) {
			texts := texts(t, svg)
			if !strings.Contains(texts, hostile) {
				t.Errorf("the title is not shown: %s", texts)
			}
			if strings.Contains(string(svg), "NaN") || strings.Contains(string(svg), "Inf") {
				t.Errorf("not a place: %s", svg)
			}
		})
	}
}

// texts parses a document and returns its characters.
func texts(t *testing.T, doc []byte) string {
	t.Helper()
	var all strings.Builder
	decoder := xml.NewDecoder(strings.NewReader(string(doc)))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return all.String()
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if text, ok := token.(xml.CharData); ok {
			all.Write(text)
		}
	}
}

func TestRoundStep(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, 0.3: 0.5, 1: 1, 1.2: 2, 3: 5, 7: 10, 3600: 5000, math.Inf(1): 1} {
		if got := roundStep(v); math.Abs(got-want) > want/1e9 {
			t.Errorf("%v: %v, want %v", v, got, want)
		}
	}
}
