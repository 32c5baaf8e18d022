package main

import (
	"os"
	"path/filepath"

	"github.com/linegate/linegate/internal/chart"
	"github.com/linegate/linegate/internal/load"
)

// drawings are the curves of the last round, by what they show.
type drawings map[string][]chart.Series

func (d drawings) add(what, server string, points []chart.Point) {
	for i, s := range d[what] {
		if s.Name == server {
			d[what][i].Points = points
			return
		}
	}
	d[what] = append(d[what], chart.Series{Name: server, Points: points})
}

// write draws the charts into a directory.
func (d drawings) write(dir string, rounds []figures) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, svg := range map[string][]byte{
		"cpu.svg":    relative(rounds).SVG(),
		"memory.svg": load.MemoryChart("Anonymous resident memory by idle sessions, plain TCP", d["memory"]...).SVG(),
		"flood.svg":  load.LatencyChart("Ping on 1,000 sessions beside 2,000 bad logins a second", d["flood"]...).SVG(),
		"storm.svg":  load.BackChart("Sessions back after all were cut", d.storms()...).SVG(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), svg, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// storms are those of which fewer are on their way at once: the others show the
// accept queue.
func (d drawings) storms() []chart.Series {
	var all []chart.Series
	all = append(all, d[stormLive+fewer]...)
	for _, s := range d[stormStart+fewer] {
		all = append(all, chart.Series{Name: s.Name + ", restarted", Points: s.Points})
	}
	return all
}

// relative has the CPU time of each server as a multiple of Redis's.
func relative(rounds []figures) chart.Bars {
	rows := []struct{ row, name string }{
		{ping1, "ping"}, {echo1, "echo"}, {ping32, "ping, 32"}, {echo32, "echo, 32"}, {ping5000, "ping, 5,000"}, {seenLogin, "login"},
	}
	bars := chart.Bars{Title: "CPU time of the server, Redis = 1", Y: "multiple of Redis"}
	for _, r := range rows {
		bars.Groups = append(bars.Groups, r.name)
	}
	for _, name := range []string{linegate, redis, epoll, goserver, nats} {
		s, measured := chart.BarSeries{Name: name}, false
		for _, r := range rows {
			v, ok := median(rounds, over(key{r.row, name}, key{r.row, redis}))
			s.Values, measured = append(s.Values, v), measured || ok
		}
		if measured {
			bars.Series = append(bars.Series, s)
		}
	}
	return bars
}
