package load

import (
	"math"
	"time"

	"github.com/linegate/linegate/internal/chart"
)

// Chart draws the result: when sessions were in, for a storm; the memory, for
// idle sessions with a PID; otherwise the percentiles of the latency.
func (r *Result) Chart() chart.Lines {
	switch r.Config.Mode {
	case Storm:
		return BackChart(r.title(), chart.Series{Name: string(r.Config.Protocol), Points: r.BackCurve()})
	case Idle:
		return MemoryChart(r.title(), chart.Series{Name: string(r.Config.Protocol), Points: r.MemoryCurve()})
	case Login:
		return LatencyChart(r.title(), chart.Series{Name: string(r.Config.Protocol), Points: latencyCurve(&r.Login)})
	}
	return LatencyChart(r.title(), chart.Series{Name: string(r.Config.Protocol), Points: latencyCurve(&r.Latency)})
}

// LatencyChart has an axis on which 99 % is as far from 90 % as 99.9 % from 99 %.
func LatencyChart(title string, series ...chart.Series) chart.Lines {
	ticks := []chart.Tick{{At: 0, Name: "0"}, {At: nines(50), Name: "50"}, {At: 1, Name: "90"}, {At: 2, Name: "99"}, {At: 3, Name: "99.9"}, {At: 4, Name: "99.99"}}
	return chart.Lines{Title: title, X: "percentile", Y: "latency in ms", Ticks: ticks, Series: series}
}

// LatencyCurve are the points of a LatencyChart.
func (r *Result) LatencyCurve() []chart.Point { return latencyCurve(&r.Latency) }

func latencyCurve(h *Histogram) []chart.Point {
	var points []chart.Point
	for x := 0.0; x <= 4.001 && math.Pow(10, x) <= float64(h.Count()); x += 0.05 {
		p := 100 * (1 - math.Pow(10, -x))
		points = append(points, chart.Point{X: x, Y: float64(h.Percentile(p)) / float64(time.Millisecond)})
	}
	return points
}

// nines is where a percentile stands on the axis.
func nines(p float64) float64 { return -math.Log10(1 - p/100) }

// BackChart tells how many sessions of a storm are in again.
func BackChart(title string, series ...chart.Series) chart.Lines {
	return chart.Lines{Title: title, X: "seconds since the cut", Y: "sessions", Series: series}
}

// BackCurve are the points of a BackChart, 200 at most.
func (r *Result) BackCurve() []chart.Point {
	points := []chart.Point{{}}
	for i := range 200 {
		n := (i + 1) * len(r.Back) / 200
		if n > 0 {
			points = append(points, chart.Point{X: r.Back[n-1].Seconds(), Y: float64(n)})
		}
	}
	return points
}

// MemoryChart tells the memory of a server by its sessions.
func MemoryChart(title string, series ...chart.Series) chart.Lines {
	return chart.Lines{Title: title, X: "sessions", Y: "MB resident", Series: series}
}

// MemoryCurve are the points of a MemoryChart.
func (r *Result) MemoryCurve() []chart.Point {
	var points []chart.Point
	for _, m := range r.Memory {
		points = append(points, chart.Point{X: float64(m.Sessions), Y: float64(m.Bytes) / 1e6})
	}
	return points
}
