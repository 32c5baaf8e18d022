package chart

import (
	"bytes"
	"fmt"
	"math"
)

// Lines is a chart of curves over one axis. The axes begin at 0.
type Lines struct {
	Title, X, Y string
	Ticks       []Tick // of the X axis; nil: round numbers
	Series      []Series
}

// Series is a curve, its points in the order of X.
type Series struct {
	Name   string
	Points []Point
}

// Point is one of a curve.
type Point struct{ X, Y float64 }

// Tick names a place on the X axis.
type Tick struct {
	At   float64
	Name string
}

// SVG draws the chart.
func (l Lines) SVG() []byte {
	d := begin(l.Title)
	var farthest, most float64
	var names []string
	for _, s := range l.Series {
		names = append(names, s.Name)
		for _, p := range s.Points {
			farthest, most = max(farthest, p.X), max(most, p.Y)
		}
	}
	atY := d.yAxis(l.Y, most)
	atX := l.xAxis(d, farthest)
	for i, s := range l.Series {
		var path bytes.Buffer
		for j, p := range s.Points {
			fmt.Fprintf(&path, "%c%.1f %.1f ", "ML"[min(j, 1)], atX(p.X), atY(p.Y))
		}
		if path.Len() > 0 {
			d.put(`<path d="%s" fill="none" stroke="%s" stroke-width="2" stroke-linejoin="round"/>`,
				bytes.TrimSpace(path.Bytes()), colour(i))
		}
	}
	d.legend(names)
	return d.end()
}

func (l Lines) xAxis(d *drawing, farthest float64) func(v float64) float64 {
	ticks := l.Ticks
	if ticks == nil {
		step := roundStep(farthest / 8)
		for i := 0; float64(i)*step <= farthest*1.0001; i++ {
			ticks = append(ticks, Tick{float64(i) * step, number(float64(i) * step)})
		}
	}
	for _, t := range ticks {
		farthest = max(farthest, t.At)
	}
	if farthest == 0 || math.IsNaN(farthest) {
		farthest = 1
	}
	at := func(v float64) float64 { return left + v/farthest*(width-right-left) }
	for _, t := range ticks {
		d.line(at(t.At), height-bottom, at(t.At), height-bottom+5, "#222")
		d.text(at(t.At), height-bottom+19, "middle", 12, t.Name)
	}
	d.line(left, height-bottom, width-right, height-bottom, "#222")
	d.text((left+width-right)/2, height-bottom+40, "middle", 12, l.X)
	return at
}
