package trials

import (
	"fmt"
	"testing"
	"text/tabwriter"
	"time"
)

// report is the table of a trial: what was asked, and what was measured.
type report struct {
	t    testing.TB
	rows [][3]string
}

// newReport prints the table when the test ends, however it does.
func newReport(t testing.TB) *report {
	r := &report{t: t, rows: [][3]string{{"", "asked", "measured"}}}
	t.Cleanup(func() {
		table := tabwriter.NewWriter(t.Output(), 0, 0, 3, ' ', 0)
		for _, row := range r.rows {
			fmt.Fprintf(table, "%s\t%s\t%s\n", row[0], row[1], row[2])
		}
		_ = table.Flush()
	})
	return r
}

// asked adds a row, and fails the test when it does not hold.
func (r *report) asked(holds bool, what, asked, measured string) {
	r.t.Helper()
	r.rows = append(r.rows, [3]string{what, asked, measured})
	if !holds {
		r.t.Errorf("%s: asked %s, measured %s", what, asked, measured)
	}
}

// askedIf asks in a trial at full length, and tells in another.
func (r *report) askedIf(full, holds bool, what, asked, measured string) {
	r.t.Helper()
	if full {
		r.asked(holds, what, asked, measured)
	} else {
		r.told(what, measured)
	}
}

// none asks that something never happened; detail says what it was.
func (r *report) none(what string, count int, detail fmt.Stringer) {
	r.t.Helper()
	measured := "0"
	if count != 0 {
		measured = fmt.Sprintf("%d (%v)", count, detail)
	}
	r.asked(count == 0, what, "none", measured)
}

// told adds a row that asks nothing.
func (r *report) told(what, measured string) {
	r.rows = append(r.rows, [3]string{what, "", measured})
}

// fetches asks that there was one fetch a cool-down, and one to begin with.
func (r *report) fetches(what string, count int, in, cooldown time.Duration) {
	r.t.Helper()
	most := 1 + int(in/cooldown)
	r.asked(count <= most, fmt.Sprintf("%s in %.1f s", what, in.Seconds()), fmt.Sprintf("at most %d", most), fmt.Sprint(count))
}

// latency asks that logins with known keys are not twice as slow because of what
// a trial does. At less than full length it only tells: too few logins are made
// for a p99.
func (r *report) latency(asked bool, because string, without, with *latencies, rounds int) {
	r.t.Helper()
	c := compare(without, with, rounds)
	row := "p99 of logins with known keys " + because
	r.askedIf(asked, c.holds(), row, "at most "+ms(c.limit()), ms(c.with))
	r.told("  before that", ms(c.without))
	r.told("  over all rounds, with and without", ms(quantile(with.all(), 0.99))+", "+ms(quantile(without.all(), 0.99)))
}

// growth asks that the gateway holds no more after a trial than before.
func (r *report) growth(before, after held) {
	r.t.Helper()
	const heap, some = 1 << 20, 8 // a connection to an issuer is a descriptor and three goroutines
	r.asked(after.heap <= before.heap+heap, "live heap, when all have gone", "at most "+mib(before.heap+heap), mib(after.heap))
	r.asked(after.goroutines <= before.goroutines+some, "  goroutines", fmt.Sprintf("at most %v", before.goroutines+some), fmt.Sprint(after.goroutines))
	r.asked(after.descriptors <= before.descriptors+some, "  descriptors", fmt.Sprintf("at most %v", before.descriptors+some), fmt.Sprint(after.descriptors))
}

// ms is a latency as the table has it.
func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// mib is a size as the table has it.
func mib[T int | float64](bytes T) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
