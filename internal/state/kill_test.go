//go:build unix

package state

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
)

// The tests here need a process that can be killed: this one again, with its part
// and the directory in the environment.
const (
	partVariable = "LINEGATE_STATE_TEST_PART"
	dirVariable  = "LINEGATE_STATE_TEST_DIR"
)

var parts = map[string]func(*Dir) error{
	"write until killed": writeUntilKilled,
	"fill the disk":      fillTheDisk,
	"wait until killed":  func(*Dir) error { select {} },
}

func TestMain(m *testing.M) {
	part, found := parts[os.Getenv(partVariable)]
	if !found {
		os.Exit(m.Run())
	}
	say("opening")
	d, err := Open(os.Getenv(dirVariable), slog.New(slog.DiscardHandler))
	if err == nil {
		say("open")
		err = part(d)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// say prints a line for the parent, in one write.
func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// child is such a process.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner
	errs  bytes.Buffer
}

func start(t *testing.T, part, dir string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0])}
	c.Env = append(os.Environ(), partVariable+"="+part, dirVariable+"="+dir)
	c.Stderr = &c.errs
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() }) // when the test failed before
	c.lines = bufio.NewScanner(out)
	c.lines.Split(wholeLines)
	return c
}

// wholeLines leaves out a last line that was not printed to its end.
func wholeLines(data []byte, _ bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	return 0, nil, nil
}

// expect reads the next line, which must be this one.
func (c *child) expect(t *testing.T, want string) {
	t.Helper()
	if !c.lines.Scan() || c.lines.Text() != want {
		_ = c.Wait()
		t.Fatalf("got %q, want %q; %s", c.lines.Text(), want, &c.errs)
	}
}

// The second process is refused while the first has the directory, and not when
// that was killed.
func TestOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first := start(t, "wait until killed", dir)
	first.expect(t, "opening")
	first.expect(t, "open")
	_, err := Open(dir, slog.New(slog.DiscardHandler))
	if want := "state_dir: " + dir + ": another process uses it"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // that it was killed
	open(t, dir)
}

// A process is killed at any moment, again and again, while it revokes, takes
// back and stores keys as fast as it can. Whatever it was told is stored must be
// there afterwards, in order.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	told := &told{removed: map[string]bool{}, doubtful: map[string]bool{}, keys: map[string]int{}}
	rounds := 0
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); rounds++ {
		c := start(t, "write until killed", dir)
		c.expect(t, "opening")
		if rounds%4 == 0 { // while it opens the directory, or soon after
			killAfter(c, rand.N(3*time.Millisecond))
		} else {
			c.expect(t, "open")
			killAfter(c, rand.N(60*time.Millisecond))
		}
		for c.lines.Scan() {
			told.hear(t, c.lines.Text())
		}
		_ = c.Wait() // that it was killed
		if c.errs.Len() > 0 {
			t.Fatalf("round %d: %s", rounds, &c.errs)
		}
		told.check(t, dir)
		if t.Failed() {
			t.Fatalf("in round %d", rounds)
		}
	}
	t.Logf("%d rounds; %d revocations, %d taken back, keys %v", rounds, told.count, len(told.removed), told.keys)
	if told.count == 0 || len(told.removed) == 0 || len(told.keys) == 0 {
		t.Error("the process never got to write")
	}
}

func killAfter(c *child, d time.Duration) {
	time.AfterFunc(d, func() { _ = c.Process.Kill() })
}

// writeUntilKilled says what it was told is stored, and what it is about to take
// back, since that may be stored before it is told so.
func writeUntilKilled(d *Dir) error {
	failed := make(chan error)
	made := make(chan string, 1000)
	go func() {
		for {
			r, err := d.Revoke(Record{Revocation: auth.Revocation{Issuer: "i", Subject: "a"}, Reason: "some reason", CreatedBy: operator}, nil)
			if err != nil {
				failed <- err
			}
			say("revoked %s", r.ID)
			made <- r.ID
		}
	}()
	go func() {
		for id := range made {
			if rand.N(10) == 0 {
				continue
			}
			say("removing %s", id)
			if _, err := d.TakeBack(id); err != nil {
				failed <- err
			}
			say("removed %s", id)
			if rand.N(5) == 0 { // so often nobody would have to
				d.mu.Lock()
				d.compact()
				d.mu.Unlock()
			}
		}
	}()
	go func() {
		for n := 1; ; n++ {
			issuer := fmt.Sprint("issuer-", n%3)
			last, _, err := d.LoadKeys(issuer)
			if err != nil {
				failed <- err
			}
			n := max(n, int(last.FetchedAt.Unix()))
			err = d.SaveKeys(auth.Snapshot{Issuer: issuer, FetchedAt: time.Unix(int64(n), 0), Document: document(n)})
			if err != nil {
				failed <- err
			}
			say("keys %s %d", issuer, n)
		}
	}()
	return <-failed
}

// document is some long text that tells which it is.
func document(n int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%d ", n), n*7919%20_000) }

// told is what the killed processes have said.
type told struct {
	present  []string        // in order, and for certain
	removed  map[string]bool // for certain
	doubtful map[string]bool // that were being taken back when the end came
	keys     map[string]int  // by issuer
	count    int
}

func (k *told) hear(t *testing.T, line string) {
	words := strings.Fields(line)
	switch words[0] {
	case "open":
	case "revoked":
		k.present = append(k.present, words[1])
		k.count++
	case "removing":
		k.doubtful[words[1]] = true
	case "removed":
		delete(k.doubtful, words[1])
		k.removed[words[1]] = true
	case "keys":
		n, err := strconv.Atoi(words[2])
		if err != nil {
			t.Fatal(err)
		}
		k.keys[words[1]] = n
	default:
		t.Fatalf("heard %q", line)
	}
}

// check opens the directory as the next process does.
func (k *told) check(t *testing.T, dir string) {
	t.Helper()
	d := open(t, dir)
	defer d.Close()
	page, _ := d.List("", 1<<30)
	rest := page
	for _, id := range k.present {
		if k.removed[id] {
			continue
		}
		switch {
		case len(rest) > 0 && rest[0].ID == id:
			rest = rest[1:]
		case !k.doubtful[id]:
			t.Errorf("%s is missing, or not in its place", id)
		}
	}
	// One more may be there: stored, and killed before it was said.
	if len(rest) > 1 {
		t.Errorf("%d too many: %v", len(rest), rest)
	}
	k.present, k.doubtful = nil, map[string]bool{}
	for _, r := range page {
		if k.removed[r.ID] {
			t.Errorf("%s is back", r.ID)
		}
		if r.Subject != "a" || r.Reason != "some reason" || r.CreatedBy != operator {
			t.Errorf("%+v", r)
		}
		k.present = append(k.present, r.ID)
	}
	for issuer, n := range k.keys {
		s, found, err := d.LoadKeys(issuer)
		got := int(s.FetchedAt.Unix())
		if err != nil || !found || got < n || !bytes.Equal(s.Document, document(got)) {
			t.Errorf("keys of %s: %t, %v, number %d with %d bytes, want %d or later", issuer, found, err, got, len(s.Document), n)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*"+temporary)); err != nil || len(left) > 0 {
		t.Errorf("left there: %v, %v", left, err)
	}
}

// A full disk: what does not fit is in force and not stored, leaves the file
// good, and is stored with the next that fits.
func TestDiskFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	c := start(t, "fill the disk", dir)
	var last string
	for c.lines.Scan() {
		last = c.lines.Text()
	}
	if err := c.Wait(); err != nil || last != "done" {
		t.Fatalf("%v, %q: %s", err, last, &c.errs)
	}
	checkSubjects(t, open(t, dir), "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "last")
}

// fillTheDisk limits the size of files, which ends a write in its middle as a
// full disk does.
func fillTheDisk(d *Dir) error {
	signal.Ignore(syscall.SIGXFSZ)
	var unlimited syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		return err
	}
	failures := 0
	for i := range 10 {
		if i == 3 {
			limit := unlimited
			limit.Cur = uint64(d.journal.size) + 20
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
				return err
			}
		}
		_, err := d.Revoke(Record{Revocation: auth.Revocation{Issuer: "i", Subject: fmt.Sprint(i)}, CreatedBy: operator}, nil)
		if errors.Is(err, ErrNotStored) && errors.Is(err, syscall.EFBIG) && revoked(d, fmt.Sprint(i)) {
			failures++
		} else if err != nil {
			return err
		}
		info, err := d.journal.file.Stat()
		if err != nil || info.Size() != d.journal.size {
			return fmt.Errorf("the file has %d bytes, %d of them good, %w", info.Size(), d.journal.size, err)
		}
	}
	if failures != 7 {
		return fmt.Errorf("%d failed, want 7", failures)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		return err
	}
	if _, err := d.Revoke(Record{Revocation: auth.Revocation{Issuer: "i", Subject: "last"}, CreatedBy: operator}, nil); err != nil {
		return err
	}
	say("done")
	return nil
}
