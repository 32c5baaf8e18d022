package main

import (
	"fmt"
	"slices"
	"strings"
)

// line is a row of the table: the figures of the servers, and what is judged.
type line struct {
	row  string
	unit string
	// seen is what the goals are about, as a quotient of two figures or a
	// figure; nil: the row has no goal.
	seen      func(figures) (float64, bool)
	form      string // of seen and the goals
	must, aim float64
}

func lines() []line {
	toRedis := func(row string) func(figures) (float64, bool) {
		return over(key{row, linegate}, key{row, redis})
	}
	return []line{
		{ping1, "µs", toRedis(ping1), "%.2fx Redis", 1.35, 1.1},
		{echo1, "µs", toRedis(echo1), "%.2fx Redis", 1.35, 1.1},
		{ping32, "µs", toRedis(ping32), "%.2fx Redis", 0.65, 0.5},
		{echo32, "µs", toRedis(echo32), "%.2fx Redis", 0.65, 0.5},
		{ping5000, "µs", toRedis(ping5000), "%.2fx Redis", 1.0, 0.9},
		{allocs, "", at(allocs, linegate), "%.2f", 0.01, 0.01},
		{idle, "kB", at(idle, linegate), "%.1f kB", 4.5, 3.7},
		{idleTLS, "kB", at(idleTLS, linegate), "%.1f kB", 16, 10},
		{straight, "% off a line", at(straight, linegate), "%.1f %%", 5, 5},
		{seenLogin, "µs", toRedis(seenLogin), "%.2fx Redis", 1.6, 1.25},
		{newLogin, "µs", aboveConnect, "%.2f checks above Go's connect", 1.1, 1.1},
		{bareCheck, "µs", nil, "", 0, 0},
		{quietP99, "ms", over(key{quietP99, linegate}, key{quietP99, epoll}), "%.2fx epoll", 0, 0},
		{floodP99, "ms", over(key{floodP99, linegate}, key{floodP99, epoll}), "%.2fx epoll", 2, 1.3},
		{floodRate, "a second", nil, "", 0, 0},
		{stormLive, "s", toRedis(stormLive), "%.2fx Redis", 1.6, 1.25},
		{stormLive + fewer, "s", toRedis(stormLive + fewer), "%.2fx Redis", 1.6, 1.25},
		{stormStart, "s", toRedis(stormStart), "%.2fx Redis", 4, 3},
		{stormStart + fewer, "s", toRedis(stormStart + fewer), "%.2fx Redis", 4, 3},
	}
}

// aboveConnect is what a new token costs above a connection and a first reply
// of the Go server, in signature checks.
func aboveConnect(f figures) (float64, bool) {
	login, ok := f[key{newLogin, linegate}]
	connect, measured := f[key{seenLogin, goserver}]
	check := f[key{bareCheck, linegate}]
	return (login - connect) / check, ok && measured && check > 0
}

// table writes the medians as Markdown.
func table(rounds []figures) string {
	columns := slices.DeleteFunc([]string{linegate, redis, resp, epoll, goserver, nats}, func(name string) bool {
		return !slices.ContainsFunc(lines(), func(l line) bool { _, ok := median(rounds, at(l.row, name)); return ok })
	})
	var b strings.Builder
	fmt.Fprintf(&b, "| what | %s | seen | must | aim | |\n", strings.Join(columns, " | "))
	fmt.Fprintf(&b, "|%s\n", strings.Repeat(" --- |", len(columns)+5))
	for _, l := range lines() {
		cells, measured := []string{l.title()}, false
		for _, name := range columns {
			v, ok := median(rounds, at(l.row, name))
			measured = measured || ok
			cells = append(cells, cell(v, ok))
		}
		if measured {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(append(cells, l.judged(rounds)...), " | "))
		}
	}
	b.WriteString("\n")
	for _, row := range []string{stormLive, stormLive + fewer, stormStart, stormStart + fewer} {
		for _, name := range []string{linegate, redis} {
			if failed, ok := most(rounds, key{row + failures, name}); ok {
				told, _ := median(rounds, at(row+retries, name))
				full, _ := median(rounds, at(row+overflows, name))
				fmt.Fprintf(&b, "- %s, %s: %.0f connections failed, %.0f were told to come back, %.0f SYNs met a full accept queue.\n",
					row, name, failed, told, full)
			}
		}
	}
	return b.String()
}

func (l line) title() string {
	if l.unit == "" {
		return l.row
	}
	return l.row + ": " + l.unit
}

// judged returns what was seen, the goals, and which of them is met.
func (l line) judged(rounds []figures) []string {
	if l.seen == nil {
		return []string{"", "", "", ""}
	}
	v, ok := median(rounds, l.seen)
	if !ok {
		return []string{"not measured", l.goal(l.must), l.goal(l.aim), ""}
	}
	verdict := "**not met**"
	switch {
	case l.must == 0:
		verdict = ""
	case l.failed(rounds): // none may, in any round
	case v <= l.aim:
		verdict = "aim met"
	case v <= l.must:
		verdict = "must met"
	}
	return []string{fmt.Sprintf(l.form, v), l.goal(l.must), l.goal(l.aim), verdict}
}

// failed reports whether the gateway lost a connection that had to come back.
func (l line) failed(rounds []figures) bool {
	n, _ := most(rounds, key{l.row + failures, linegate})
	return n > 0
}

func (l line) goal(v float64) string {
	if v == 0 {
		return ""
	}
	number, _, _ := strings.Cut(l.form, " ")
	return fmt.Sprintf(number, v)
}

// cell is a figure with three digits or so.
func cell(v float64, ok bool) string {
	switch {
	case !ok:
		return ""
	case v == 0:
		return "0"
	case v < 1:
		return fmt.Sprintf("%.3f", v)
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
