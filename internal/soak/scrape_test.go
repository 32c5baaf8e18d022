package soak

import (
	"fmt"
	"strconv"
	"strings"
)

// sample is one scrape: series by name and labels, as they are written.
type sample struct {
	values   map[string]float64
	counters map[string]bool
}

// parse reads the Prometheus text format.
func parse(text string) (sample, error) {
	s := sample{map[string]float64{}, map[string]bool{}}
	types := map[string]string{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 4 && fields[0] == "#" && fields[1] == "TYPE":
			types[fields[2]] = fields[3]
			continue
		case len(fields) == 0 || fields[0] == "#":
			continue
		}
		at := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64)
		if at < 0 || err != nil {
			return s, fmt.Errorf("no sample: %q", line)
		}
		series := line[:at]
		name, _, _ := strings.Cut(series, "{")
		s.values[series] = value
		s.counters[series] = types[name] == "counter"
		for _, part := range []string{"_bucket", "_count", "_sum"} {
			if base, is := strings.CutSuffix(name, part); is && types[base] == "histogram" {
				s.counters[series] = true
			}
		}
	}
	return s, nil
}

// sum adds the series of a metric.
func (s sample) sum(name string) (sum float64) {
	for series, value := range s.values {
		if base, _, _ := strings.Cut(series, "{"); base == name {
			sum += value
		}
	}
	return sum
}

// tally asks that each connection made was accepted, and counted once.
func (o *oracle) tally(made int64, s sample) {
	if accepted := s.sum("linegate_connections_accepted_total"); accepted != float64(made) {
		o.find("%d connections were made, and %v accepted", made, accepted)
	}
}

// check compares a scrape with the one before, and with itself.
func (o *oracle) check(before, now sample) {
	for series, value := range now.values {
		if old, was := before.values[series]; was && now.counters[series] && value < old {
			o.find("a counter fell: %s from %v to %v", series, old, value)
		}
	}
	accepted, open := now.sum("linegate_connections_accepted_total"), now.sum("linegate_connections_open")
	if closed := now.sum("linegate_connections_closed_total"); accepted != open+closed {
		o.find("accepted %v, but open %v and closed %v", accepted, open, closed)
	}
	for _, never := range []string{"linegate_panics_total", "linegate_accept_errors_total"} {
		if n := now.sum(never); n > before.sum(never) {
			o.find("%s is %v", never, n)
		}
	}
	o.count("scrapes", 1)
}
