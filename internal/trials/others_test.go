package trials

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// others are the slow and the greedy clients that good ones have beside them. They
// are a process of their own. They are paced: what they ask of the gateway is the same
// at any time.
type others struct {
	Address        string
	Token          string
	Slow, Greedy   int
	SlowLine       int // bytes of a line of a slow one
	Read           int // bytes that it reads at once
	ReadEvery      time.Duration
	LinesPerSecond int // that the gateway serves of each
	MaxOutbound    int // bytes that it keeps for each

	// Idle: they have the processors when nobody else wants them. What it costs to be
	// so many clients on the gateway's machine is not what they do to it.
	Idle bool
}

// seen is what the greedy ones saw while slow ones were held back.
type seen struct {
	Answers int64
	During  time.Duration
	TooFast int // answers
}

// startIdle starts a process whose threads run when nothing else wants to, and give
// way at once: one that is only nice may finish its turn of some milliseconds.
func startIdle(process *exec.Cmd) error {
	started := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		err := unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_IDLE}, 0)
		if err == nil {
			err = process.Start()
		}
		started <- err
	}()
	return <-started
}

// othersVariable has orders to a test binary that is others.
const othersVariable = "TRIALS_OTHERS"

// start returns when the slow ones are held back. over ends them all.
func (o others) start(t testing.TB) (over func() seen) {
	t.Helper()
	orders, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	process := exec.Command(program)
	process.Env = append(os.Environ(), othersVariable+"="+string(orders))
	process.Stderr = t.Output()
	stdin, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin := process.Start
	if o.Idle {
		begin = func() error { return startIdle(process) }
	}
	if err := begin(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // where the trial ended before over was called
		stdin.Close()
		_ = process.Wait()
	})
	said := json.NewDecoder(stdout)
	var heldBack bool
	if err := said.Decode(&heldBack); err != nil {
		t.Fatalf("the slow and the greedy ones: %v, %v", err, process.Wait())
	}
	return func() (s seen) {
		t.Helper()
		stdin.Close()
		if err := errors.Join(said.Decode(&s), process.Wait()); err != nil {
			t.Errorf("the slow and the greedy ones: %v", err)
		}
		return s
	}
}

// beOthers says on standard output when the slow ones are held back, and what was
// seen after standard input ended.
func beOthers(orders string) error {
	var o others
	if err := json.Unmarshal([]byte(orders), &o); err != nil {
		return err
	}
	d := &door{address: o.Address}
	slow, err := d.crowd(o.Slow, o.SlowLine, o.Token)
	if err != nil {
		return err
	}
	greedy, err := d.crowd(o.Greedy, 10, o.Token)
	if err != nil {
		return err
	}
	over := make(chan struct{})
	failed := make(chan error, o.Slow+o.Greedy)
	var all sync.WaitGroup
	for i, m := range greedy {
		all.Go(m.send)
		all.Go(func() { failed <- m.read(over, share(time.Second, i, o.Greedy), time.Second, 1<<20) })
	}
	for i, m := range slow {
		all.Go(m.send)
		all.Go(func() { failed <- m.read(over, share(o.period(), i, o.Slow), o.ReadEvery, o.Read) })
	}
	time.Sleep(o.period()) // until all have begun to read
	if err := awaitBackPressure(slow, float64(o.Slow*o.Read)/o.ReadEvery.Seconds()); err != nil {
		return err
	}
	before, begun := answered(greedy), time.Now()
	fmt.Println(true)
	_, _ = io.Copy(io.Discard, os.Stdin)
	s := seen{Answers: answered(greedy) - before, During: time.Since(begun)}
	for _, m := range greedy {
		s.TooFast += m.beyond(o.LinesPerSecond)
	}
	close(over)
	for _, m := range slices.Concat(slow, greedy) {
		m.Close()
	}
	all.Wait()
	close(failed)
	for e := range failed {
		err = errors.Join(err, e)
	}
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(s))
}

// period is the time in which a slow one reads so much that the gateway reads from it
// again. If all began at once, they would have the gateway read from all at once, and
// then from none.
func (o others) period() time.Duration {
	return o.ReadEvery * time.Duration(o.MaxOutbound/2/o.Read)
}

// awaitBackPressure waits until slow clients, who read that many bytes a second,
// send hardly more.
func awaitBackPressure(slow []*member, read float64) error {
	before, when := sent(slow), time.Now()
	for deadline := time.Now().Add(patience); ; {
		time.Sleep(time.Second)
		now := sent(slow)
		if float64(now-before)*float64(slow[0].width)/time.Since(when).Seconds() <= 1.5*read {
			return nil
		}
		if before, when = now, time.Now(); when.After(deadline) {
			return errors.New("the gateway goes on reading from clients that do not")
		}
	}
}

// share spreads n over a time.
func share(d time.Duration, i, n int) time.Duration { return d * time.Duration(i) / time.Duration(n) }

// beyond is how many answers a member got that its rate does not explain. AUTH is a
// line, too, and a second's may come at once.
func (m *member) beyond(rate int) int {
	taken := int(m.taken.Load())
	most := int(float64(rate)*(1+time.Since(m.since).Seconds())) - 1
	return max(0, taken-most)
}
