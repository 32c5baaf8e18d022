package interop

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that should happen at once, on a
// machine that is busy with other things.
const patience = 30 * time.Second

// process is a running program: what it prints is read line by line, on both
// outputs, and shown when the test fails.
type process struct {
	t     *testing.T
	name  string
	stdin io.WriteCloser
	cmd   *exec.Cmd
	ended chan struct{}

	mu    sync.Mutex
	lines []string      // all, in order
	seen  int           // how many of them line has passed
	more  chan struct{} // closed at the next line, or at the end
}

// start runs a program until the test ends.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(name, args...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: cmd.Args[0], cmd: cmd, ended: make(chan struct{}), more: make(chan struct{})}
	output, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go p.read(output)
	t.Cleanup(p.stop)
	return p
}

// read collects the lines until both outputs are closed, which is at the end of
// the program.
func (p *process) read(output io.ReadCloser) {
	defer output.Close()
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // its status is in ProcessState
	close(p.ended)
}

// line waits for the next line that matches and returns its submatches.
func (p *process) line(pattern string) []string {
	p.t.Helper()
	expression := regexp.MustCompile(pattern)
	deadline := time.After(patience)
	for ended := false; ; {
		p.mu.Lock()
		more := p.more
		for p.seen < len(p.lines) {
			match := expression.FindStringSubmatch(p.lines[p.seen])
			p.seen++
			if match != nil {
				p.mu.Unlock()
				return match
			}
		}
		p.mu.Unlock()
		if ended {
			p.t.Fatalf("%s ended (%v) without a line %q", p.name, p.cmd.ProcessState, pattern)
		}
		select {
		case <-more:
		case <-p.ended:
			ended = true // one last look: lines may have come before the end
		case <-deadline:
			p.t.Fatalf("%s: no line %q", p.name, pattern)
		}
	}
}

// never fails the test if any line so far matches.
func (p *process) never(pattern string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.IndexFunc(p.lines, regexp.MustCompile(pattern).MatchString); i >= 0 {
		p.t.Errorf("%s: a line matches %q: %s", p.name, pattern, p.lines[i])
	}
}

func (p *process) types(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

// status waits for the program's own end.
func (p *process) status() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end", p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop ends the program, in order if it can, looks for tokens in what it
// printed, and shows that if the test has failed.
func (p *process) stop() {
	p.stdin.Close()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
		p.t.Errorf("%s had to be killed", p.name)
	}
	p.never(`eyJ[A-Za-z0-9_-]{16}`) // how every JWT begins
	if p.t.Failed() {
		for _, line := range p.lines {
			p.t.Logf("%s: %s", p.name, line)
		}
	}
}
