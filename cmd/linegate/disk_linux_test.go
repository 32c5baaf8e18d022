package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/linegate/linegate/auth/authtest"
)

// A limit of the size of files ends a write in its middle, as a full disk does.

// TestStateDiskIsFull: a revocation that does not fit is in force and is refused in
// one clear error; sessions and logins notice nothing. When there is room again it
// is stored, and outlives a kill.
func TestStateDiskIsFull(t *testing.T) {
	issuer := authtest.Serve(t)
	inDir(t, `listen: [{name: devices, address: '127.0.0.1:0'}]
ops: {address: '127.0.0.1:0'}
admin: {address: '127.0.0.1:0', issuers: [main]}
state_dir: state
issuers:
`+issuerRow("main", issuer, ""))
	operator := issuer.Token(authtest.Claim("scope", "linegate:admin"))
	alice, bob, eve := issuer.Token(authtest.Sub("alice")), issuer.Token(authtest.Sub("bob")), issuer.Token(authtest.Sub("eve"))
	revoke := func(p *killable, subject string, status int, answer any) {
		t.Helper()
		p.ask(operator, http.MethodPost, "", `{"issuer":"main","subject":"`+subject+`"}`, status, answer)
	}
	p := startProgram(t)
	live := []*answers{p.loggedIn(bob)}
	waitForFile(t, "state/keys-*")
	revoke(p, "somebody", http.StatusCreated, nil)

	journal, err := os.Stat("state/revocations")
	if err != nil {
		t.Fatal(err)
	}
	limitFileSize(t, p.process.Process.Pid, uint64(journal.Size())+20)
	var problem map[string]string
	revoke(p, "alice", http.StatusInternalServerError, &problem)
	if told := fmt.Sprint(problem); !strings.Contains(told, "in force, but could not be stored yet") {
		t.Error(told)
	}
	p.nextRecord("revocation not stored")
	p.waitMetric("linegate_revocations_unstored", 1)
	p.login(alice).want("BYE invalid_token ")
	live = append(live, p.loggedIn(bob))
	p.live(live)

	limitFileSize(t, p.process.Process.Pid, unlimited)
	revoke(p, "eve", http.StatusCreated, nil) // and with it what is lacking
	p.waitMetric("linegate_revocations_unstored", 0)
	p.live(live)
	p.kill()

	p = startProgram(t)
	p.login(alice).want("BYE invalid_token ")
	p.login(eve).want("BYE invalid_token ")
	p.login(bob).want("OK AUTH ")
}

// TestLogIsFull: with a log that takes nothing more, a file on a full disk or a pipe
// that nobody reads, sessions and logins go on. The file says how much it lacks when
// there is room again. Either way the program ends in time.
func TestLogIsFull(t *testing.T) {
	issuer := authtest.Serve(t)
	token := issuer.Token()
	inDir(t, `listen: [{name: devices, address: '127.0.0.1:0'}]
ops: {address: '127.0.0.1:0'}
admin: {address: '127.0.0.1:0', issuers: [main]}
log: {level: debug}
drain: {timeout: 0s}
issuers:
`+issuerRow("main", issuer, ""))
	// busy makes records of all kinds.
	busy := func(p *killable, live *answers) {
		t.Helper()
		began := time.Now()
		for range 20 {
			p.login("e30.e30.e30").want("BYE invalid_token ") // a warning, which is waited for
			p.loggedIn(token).conn.Close()
			p.live([]*answers{live})
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	}
	end := func(p *killable) {
		t.Helper()
		began := time.Now()
		if err := p.process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.process.Wait(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the end took %v", took)
		}
	}
	lacking := func(log string) bool { return strings.Contains(log, `"msg":"log records left out"`) }

	t.Run("a full disk", func(t *testing.T) {
		p, log := startLoggingIn(t, "log")
		live := p.loggedIn(token)
		size := uint64(len(log()))
		limitFileSize(t, p.process.Process.Pid, size+10)
		busy(p, live)
		if got := uint64(len(log())); got > size+10 || lacking(log()) {
			t.Errorf("%d bytes, where %d fit", got, size+10)
		}
		limitFileSize(t, p.process.Process.Pid, unlimited)
		waitUntil(t, "said what is lacking", func() bool { p.loggedIn(token).conn.Close(); return lacking(log()) })
		end(p)
		torn := 0
		for line := range strings.Lines(log()) {
			if !json.Valid([]byte(line)) {
				torn++
			}
		}
		if torn > 1 || !strings.Contains(log(), `"msg":"draining"`) {
			t.Errorf("%d lines are torn:\n%s", torn, log())
		}
	})
	t.Run("a disk that stays full", func(t *testing.T) {
		p, log := startLoggingIn(t, "another log")
		live := p.loggedIn(token)
		limitFileSize(t, p.process.Process.Pid, uint64(len(log())))
		busy(p, live)
		end(p)
	})
	t.Run("a pipe that nobody reads", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		// Of a page, so that it is full at once.
		if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, w.Fd(), syscall.F_SETPIPE_SZ, 4096); errno != 0 {
			t.Fatal(errno)
		}
		p := startLoggingTo(t, w)
		w.Close()
		p.findAddresses(bufio.NewReader(r))
		live := p.loggedIn(token)
		busy(p, live)
		end(p)
	})
}

// startLoggingTo starts the program with a file or a pipe as its standard error.
func startLoggingTo(t *testing.T, log *os.File) *killable {
	t.Helper()
	p := &killable{t: t, process: exec.Command(os.Args[0], "serve", "--config", "linegate.yaml")}
	p.process.Env = append(os.Environ(), programVariable+"=1")
	p.process.Stderr = log
	if err := p.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.process.Process.Kill()
		_ = p.process.Wait() // that it was killed
	})
	return p
}

// startLoggingIn does so with a new file, whose content log returns.
func startLoggingIn(t *testing.T, name string) (p *killable, log func() string) {
	t.Helper()
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	log = func() string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	p = startLoggingTo(t, file)
	waitUntil(t, "listening", func() bool { return strings.Contains(log(), `"msg":"admin API"`) })
	p.findAddresses(bufio.NewReader(strings.NewReader(log())))
	return p, log
}

// findAddresses reads the log of the start.
func (p *killable) findAddresses(log *bufio.Reader) {
	p.t.Helper()
	for p.admin == "" {
		line, err := log.ReadBytes('\n')
		var r struct{ Msg, Address string }
		if err == nil {
			err = json.Unmarshal(line, &r)
		}
		if err != nil {
			p.t.Fatal(err)
		}
		switch r.Msg {
		case "listening":
			p.device = r.Address
		case "operator's HTTP":
			p.ops = "http://" + r.Address
		case "admin API":
			p.admin = r.Address
		}
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

const unlimited = math.MaxUint64

// limitFileSize sets how large a process may make a file.
func limitFileSize(t *testing.T, pid int, soft uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: soft, Max: unlimited}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE,
		uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
}
