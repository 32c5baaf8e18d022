package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linegate/linegate/auth/authtest"
)

// A limit of the size of files ends a write in its middle, as a full disk does.

// TestStateDiskIsFull: a revocation that does not fit is in force and is refused in
// one clear error; sessions and logins notice nothing. When there is room again it
// is stored, and outlives a kill.
func TestStateDiskIsFull(t *testing.T) {
	issuer := authtest.Serve(t)
	inDir(t, configuration(issuer, onePort, "state_dir: state"))
	operator := issuer.Token(authtest.Claim("scope", "linegate:admin"))
	alice, bob, eve := issuer.Token(authtest.Sub("alice")), issuer.Token(authtest.Sub("bob")), issuer.Token(authtest.Sub("eve"))
	revoke := func(p *process, subject string, status int, answer any) {
		t.Helper()
		p.ask(operator, http.MethodPost, "", `{"issuer":"main","subject":"`+subject+`"}`, status, answer)
	}
	p := startProgram(t)
	live := []*answers{p.loggedIn(bob)}
	waitForKeys(t)
	revoke(p, "somebody", http.StatusCreated, nil)

	journal, err := os.Stat("state/revocations")
	if err != nil {
		t.Fatal(err)
	}
	p.limit(unix.RLIMIT_FSIZE, uint64(journal.Size())+20)
	var problem map[string]string
	revoke(p, "alice", http.StatusInternalServerError, &problem)
	if told := fmt.Sprint(problem); !strings.Contains(told, "in force, but could not be stored yet") {
		t.Error(told)
	}
	p.nextRecord("revocation not stored")
	p.waitMetric("linegate_revocations_unstored", 1)
	p.login(alice).want("BYE invalid_token ")
	live = append(live, p.loggedIn(bob))
	p.live(live...)

	p.limit(unix.RLIMIT_FSIZE, unlimited)
	revoke(p, "eve", http.StatusCreated, nil) // and with it what is lacking
	p.waitMetric("linegate_revocations_unstored", 0)
	p.live(live...)
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
	inDir(t, configuration(issuer, onePort, "log: {level: debug}", "drain: {timeout: 0s}"))
	// busy makes records of all kinds.
	busy := func(p *process, live *answers) {
		t.Helper()
		began := time.Now()
		for range 20 {
			p.login("e30.e30.e30").want("BYE invalid_token ") // a warning, which is waited for
			p.loggedIn(token).conn.Close()
			p.live(live)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	}
	end := func(p *process) {
		t.Helper()
		began := time.Now()
		p.end(syscall.SIGTERM, exitOK)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the end took %v", took)
		}
	}
	lacking := func(log string) bool { return strings.Contains(log, `"msg":"log records left out"`) }

	t.Run("a full disk", func(t *testing.T) {
		p, log := startLoggingIn(t, "log")
		live := p.loggedIn(token)
		size := uint64(len(log()))
		p.limit(unix.RLIMIT_FSIZE, size+10)
		busy(p, live)
		if got := uint64(len(log())); got > size+10 || lacking(log()) {
			t.Errorf("%d bytes, where %d fit", got, size+10)
		}
		p.limit(unix.RLIMIT_FSIZE, unlimited)
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
		p.limit(unix.RLIMIT_FSIZE, uint64(len(log())))
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
		if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
			t.Fatal(err)
		}
		p := startLoggingTo(t, w)
		w.Close()
		p.listensBy(r)
		live := p.loggedIn(token)
		busy(p, live)
		end(p)
	})
}

// startLoggingTo starts the program with a file or a pipe as its standard error.
func startLoggingTo(t *testing.T, log *os.File) *process {
	t.Helper()
	p := &process{t: t, cmd: newCommand()}
	p.cmd.Stderr = log
	p.start()
	return p
}

// startLoggingIn does so with a new file, whose content log returns.
func startLoggingIn(t *testing.T, name string) (p *process, log func() string) {
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
	waitUntil(t, "listening", func() bool { return strings.Contains(log(), lastOfTheStart) })
	return p.listensBy(strings.NewReader(log())), log
}

const lastOfTheStart = `"msg":"admin API"`

// listensBy is listens by the log of the start, of which no more is read.
func (p *process) listensBy(log io.Reader) *process {
	p.t.Helper()
	p.records = make(records, 1000)
	for lines := bufio.NewScanner(log); lines.Scan(); {
		p.records <- bytes.Clone(lines.Bytes())
		if strings.Contains(lines.Text(), lastOfTheStart) {
			break
		}
	}
	close(p.records)
	return p.listens()
}
