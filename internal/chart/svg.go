// Package chart draws curves and bars as SVG, for results that people compare.
package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
)

// The measures of every chart, in pixels.
const (
	width, height            = 760, 420
	left, right, top, bottom = 70, 30, 50, 92
	legendY                  = height - 14
)

// colours tell series apart also for those who see fewer (Okabe and Ito).
var colours = [...]string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

// drawing is an SVG being written.
type drawing struct{ bytes.Buffer }

func begin(title string) *drawing {
	d := new(drawing)
	d.put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s" font-family="sans-serif" font-size="12">`,
		width, height, escape(title))
	d.put(`<rect width="%d" height="%d" fill="#fff"/>`, width, height)
	d.text(width/2, 24, "middle", 15, title)
	return d
}

func (d *drawing) end() []byte {
	d.put(`</svg>`)
	return d.Bytes()
}

func (d *drawing) put(format string, values ...any) {
	fmt.Fprintf(d, format+"\n", values...)
}

// text writes one line; anchor is start, middle or end.
func (d *drawing) text(x, y float64, anchor string, size int, s string) {
	d.put(`<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" fill="#222">%s</text>`, x, y, anchor, size, escape(s))
}

func (d *drawing) line(x1, y1, x2, y2 float64, colour string) {
	d.put(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`, x1, y1, x2, y2, colour)
}

// yAxis draws the axis from 0 to the first round number above most, and
// returns where a value stands.
func (d *drawing) yAxis(label string, most float64) func(v float64) float64 {
	step := roundStep(most / 5)
	most = max(step, math.Ceil(most/step-1e-9)*step)
	at := func(v float64) float64 { return height - bottom - v/most*(height-bottom-top) }
	for i := 0; float64(i)*step <= most*1.0001; i++ {
		v := float64(i) * step
		d.line(left, at(v), width-right, at(v), "#ddd")
		d.text(left-6, at(v)+4, "end", 12, number(v))
	}
	d.put(`<text transform="translate(16 %.1f) rotate(-90)" text-anchor="middle" fill="#222">%s</text>`,
		float64(top+height-bottom)/2, escape(label))
	return at
}

// roundStep is the least of 1, 2, 5, 10, 20, 50... that is not below v.
func roundStep(v float64) float64 {
	if v <= 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*unit >= v*0.9999 {
			return m * unit
		}
	}
	return 10 * unit
}

// legend names the series below the chart.
func (d *drawing) legend(names []string) {
	x := float64(left)
	for i, name := range names {
		d.put(`<rect x="%.1f" y="%d" width="14" height="10" fill="%s"/>`, x, legendY-9, colour(i))
		d.text(x+20, legendY, "start", 12, name)
		x += 44 + 7*float64(len([]rune(name)))
	}
}

func colour(i int) string { return colours[i%len(colours)] }

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a Buffer takes everything
	return b.String()
}

// round keeps two digits of small values and none of large ones.
func round(v float64) float64 {
	switch {
	case v < 10:
		return math.Round(v*100) / 100
	case v < 100:
		return math.Round(v*10) / 10
	}
	return math.Round(v)
}
