package main

import (
	"bufio"
	"bytes"
	"cmp"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// programVariable makes this test's process the program, which can then be killed.
const programVariable = "TEST_IS_LINEGATE"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is the program in a process of its own.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	log     io.ReadCloser // its standard error
	records records       // what has come from there

	// Once it listens.
	device, secure string // addresses of the first listener and the last
	ops            string // URL
	admin          string // address
}

// startProgram starts the program with linegate.yaml and waits until it listens.
func startProgram(t *testing.T) *process {
	t.Helper()
	return launch(t, newCommand()).listens()
}

func newCommand() *exec.Cmd { return exec.Command(os.Args[0], "serve", "--config", "linegate.yaml") }

// launch starts a command of the program.
func launch(t *testing.T, command *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: command, records: make(records, 10_000)}
	var err error
	if p.log, err = command.StderrPipe(); err != nil {
		t.Fatal(err)
	}
	p.start()
	go func() {
		defer close(p.records)
		for lines := bufio.NewScanner(p.log); lines.Scan(); {
			p.records <- bytes.Clone(lines.Bytes())
		}
	}()
	return p
}

// start starts it as the program, until the test is over.
func (p *process) start() {
	p.t.Helper()
	p.cmd.Env = append(os.Environ(), append(p.cmd.Env, programVariable+"=1")...)
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait() // that it was killed
	})
}

// listens waits until it has said where it listens, operators and admin API at last.
func (p *process) listens() *process {
	p.t.Helper()
	for p.admin == "" {
		switch r := p.nextRecord("listening", "operator's HTTP", "admin API"); r.Msg {
		case "listening":
			p.device, p.secure = cmp.Or(p.device, r.Address), r.Address
		case "operator's HTTP":
			p.ops = "http://" + r.Address
		case "admin API":
			p.admin = r.Address
		}
	}
	return p
}

func (p *process) nextRecord(messages ...string) record {
	p.t.Helper()
	return p.records.next(p.t, messages...)
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) kill() {
	p.t.Helper()
	p.end(syscall.SIGKILL, -1)
}

// end sends a signal and wants the status with which the process ends; -1: killed.
func (p *process) end(sig os.Signal, status int) {
	p.t.Helper()
	p.signal(sig)
	p.wantEnd(status)
}

func (p *process) wantEnd(status int) {
	p.t.Helper()
	stuck := time.AfterFunc(time.Minute, func() {
		p.t.Error("not ended in a minute")
		_ = p.cmd.Process.Kill()
	})
	var said bytes.Buffer
	for line := range p.records { // to the end, so that Wait may close the pipe
		said.Write(append(line, '\n'))
	}
	_ = p.cmd.Wait()
	stuck.Stop()
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		p.t.Errorf("exit status %d, want %d:\n%s", got, status, &said)
	}
}

// waitUntil polls for what no event tells.
func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s in 20 s", what)
		}
	}
}
