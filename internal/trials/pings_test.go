package trials

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linegate/linegate/internal/load"
)

// runFirst has this process run when it wants to, before any that has no such right,
// until over is called: a clock that others hold up measures how they do. It takes
// the right to raise priorities (CAP_SYS_NICE); a machine without it is told so.
func runFirst(t testing.TB) (over func()) {
	t.Helper()
	if err := schedule(unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1}); err != nil {
		t.Logf("latencies have the waits of the measuring process in them: %v", err)
	}
	return func() {
		t.Helper()
		if err := schedule(unix.SchedAttr{Policy: unix.SCHED_NORMAL}); err != nil {
			t.Fatal(err)
		}
	}
}

// schedule is for every thread of this process. One that a thread starts has what
// that thread had: so it goes on until a pass finds no new one.
func schedule(as unix.SchedAttr) error {
	for before := -1; ; {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		if len(threads) == before {
			return nil
		}
		before = len(threads)
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				return err
			}
			attributes := as
			if err := unix.SchedSetAttr(id, &attributes, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("sched_setattr: %w", err)
			}
		}
	}
}

// pings has sessions ping, that many a second all together, and measures.
func (g *gateway) pings(sessions, rate int, during time.Duration, token string) *load.Result {
	g.t.Helper()
	result, err := load.Run(context.Background(), load.Config{
		Mode: load.Ping, Address: g.address, Tokens: []string{token}, Connections: sessions,
		Rate: rate, Duration: during, Warmup: time.Second, Timeout: patience,
		PID: g.process.Process.Pid,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return result
}

// goodHalf is what the rounds of a kind measured.
type goodHalf []*load.Result

func (h *goodHalf) add(r *load.Result) { *h = append(*h, r) }

func (h goodHalf) report(r *report, when string) {
	pings, failed := 0, 0
	for _, result := range h {
		pings += result.Messages
		failed += result.Failed
	}
	r.asked(failed == 0, fmt.Sprintf("of %d pings, %s, clients that failed", pings, when), "none", fmt.Sprint(failed))
}

// each is that percentile of every round.
func (h goodHalf) each(percentile float64) (all []time.Duration) {
	for _, result := range h {
		all = append(all, result.Latency.Percentile(percentile))
	}
	return all
}

// typical is the median of the rounds'.
func (h goodHalf) typical(percentile float64) time.Duration { return quantile(h.each(percentile), 0.5) }

// cpu is the gateway's processor time a second.
func (h goodHalf) cpu() float64 {
	var used, elapsed time.Duration
	for _, result := range h {
		used += result.Server.CPU
		elapsed += result.Elapsed
	}
	return used.Seconds() / elapsed.Seconds()
}

// p99 asks that pings beside what a trial does are no slower than a limit. At less
// than full length it only tells: too few are made.
func (r *report) p99(asked bool, row string, limit time.Duration, with, without goodHalf) {
	r.t.Helper()
	p99 := with.typical(99)
	r.askedIf(asked, p99 <= limit, row, "at most "+ms(limit), ms(p99))
	r.told("  without", ms(without.typical(99)))
	r.told("  p50 with and without", ms(with.typical(50))+", "+ms(without.typical(50)))
	r.told("  each round's p99 with", fmt.Sprint(with.each(99)))
	r.told("  each round's p99 without", fmt.Sprint(without.each(99)))
	r.told("the gateway's processor time a second, with and without", fmt.Sprintf("%.3f s, %.3f s", with.cpu(), without.cpu()))
}
