// Command compare measures linegate beside Redis, a usual Go server and a bare
// epoll server, in one run, with one generator and the same messages. It prints
// a table, and with -write puts it into docs/performance.md and draws charts
// (make bench-compare). It needs Linux, for /proc.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The strangers' goroutines must not keep the poller from its core: that is
	// for the kernel to share out, as it does with the servers.
	runtime.GOMAXPROCS(runtime.NumCPU() + 2)
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		stop()
		os.Exit(1)
	}
}

type options struct {
	bin    string
	quick  bool
	runs   int
	only   *regexp.Regexp
	write  bool
	docs   string
	charts string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.bin, "bin", "", "`directory` with linegate, goserver and, where there is a C compiler, epollserver")
	flags.BoolVar(&o.quick, "quick", false, "small counts: a minute, for development")
	flags.IntVar(&o.runs, "runs", 1, "`number` of rounds; the table has medians")
	only := flags.String("only", "", "`pattern` of the rows to measure")
	flags.BoolVar(&o.write, "write", false, "put the table into the page, and draw the charts")
	flags.StringVar(&o.docs, "docs", "docs/performance.md", "`page` with the table's markers")
	flags.StringVar(&o.charts, "charts", "docs/performance", "`directory` of the charts")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.bin == "" || o.runs < 1 || flags.NArg() > 0 {
		return o, fmt.Errorf("want -bin, -runs of at least 1, and no arguments; make bench-compare does it")
	}
	if o.write && *only != "" {
		return o, fmt.Errorf("-write: not beside -only, the table would have holes")
	}
	var err error
	o.only, err = regexp.Compile(*only)
	return o, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	bench, err := newBench(o, stderr)
	if err != nil {
		return err
	}
	defer bench.close()
	facts := bench.facts(ctx, o.runs)
	var rounds []figures
	var problems []string
	for i := range o.runs {
		f := figures{}
		for _, m := range measurements() {
			if !o.only.MatchString(m.name) {
				continue
			}
			bench.say("round %d of %d: %s", i+1, o.runs, m.name)
			err := m.run(ctx, bench, f)
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			if err != nil { // of one row; the others are worth having
				bench.say("%s: %v", m.name, err)
				problems = append(problems, fmt.Sprintf("%s: %v", m.name, err))
			}
		}
		rounds = append(rounds, f)
	}
	bench.say("done")
	text := facts + table(rounds)
	fmt.Fprint(stdout, text)
	if len(problems) > 0 {
		return fmt.Errorf("not measured: %s", strings.Join(problems, "; "))
	}
	if !o.write {
		return nil
	}
	if err := writePage(o.docs, text); err != nil {
		return err
	}
	return bench.drawings.write(o.charts, rounds)
}

// figures are one round's, by row and server.
type figures map[key]float64

type key struct{ row, server string }

// median returns the middle of the rounds that have the figure.
func median(rounds []figures, of func(figures) (float64, bool)) (float64, bool) {
	var all []float64
	for _, f := range rounds {
		if v, ok := of(f); ok {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2, true
	}
	return all[len(all)/2], true
}

// most returns the greatest figure of a cell: what happened in one round happened.
func most(rounds []figures, cell key) (greatest float64, ok bool) {
	for _, f := range rounds {
		if v, measured := f[cell]; measured {
			greatest, ok = max(greatest, v), true
		}
	}
	return greatest, ok
}

// at returns the figure of a cell.
func at(row, server string) func(figures) (float64, bool) {
	return func(f figures) (float64, bool) {
		v, ok := f[key{row, server}]
		return v, ok
	}
}

// over returns the quotient of two cells.
func over(a, b key) func(figures) (float64, bool) {
	return func(f figures) (float64, bool) {
		x, okX := f[a]
		y, okY := f[b]
		return x / y, okX && okY && y > 0
	}
}

const (
	beginMarker = "<!-- begin: written by make bench-compare -->"
	endMarker   = "<!-- end -->"
)

// writePage replaces what stands between the markers.
func writePage(name, text string) error {
	page, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(page), beginMarker)
	_, after, ended := strings.Cut(rest, endMarker)
	if !ok || !ended {
		return fmt.Errorf("%s: it lacks the markers %q and %q", name, beginMarker, endMarker)
	}
	return os.WriteFile(name, []byte(before+beginMarker+"\n"+text+endMarker+after), 0o644)
}
