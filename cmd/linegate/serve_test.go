package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/linegate/linegate/internal/config"
)

// fake is a gateway that says what is asked of it.
type fake struct {
	events            chan string // run, drain, reload <level>, reload failed, abort
	drained, aborted  chan struct{}
	hang              chan struct{} // reloads wait for it, unless nil
	runErr, reloadErr error
	stubborn          bool // not even an abort ends it
}

func (f *fake) Run(ctx context.Context) error {
	f.events <- "run"
	if f.runErr != nil {
		return f.runErr
	}
	<-ctx.Done()
	f.events <- "drain"
	select {
	case <-f.drained:
		return nil
	case <-f.aborted:
		f.events <- "end of its sessions"
		return errors.New("aborted")
	}
}

func (f *fake) Reload(read func() (*config.Config, error)) error {
	c, err := read()
	if err != nil {
		f.events <- "reload failed"
		return err
	}
	f.events <- "reload " + c.Log.Level
	if f.hang != nil {
		<-f.hang
	}
	return f.reloadErr
}

func (f *fake) Abort() {
	f.events <- "abort"
	if !f.stubborn {
		close(f.aborted)
	}
}

// signals are where a program wants its signals.
type signals map[os.Signal]chan<- os.Signal

func (s signals) notify(c chan<- os.Signal, wanted ...os.Signal) {
	for _, sig := range wanted {
		s[sig] = c
	}
}

// send does what os/signal does: a signal for which there is no room is lost.
func (s signals) send(sig os.Signal) {
	select {
	case s[sig] <- sig:
	default:
	}
}

// serving is a program that runs serve with a fake.
type serving struct {
	*fake
	signals
	t      *testing.T
	log    *logRecords
	status chan int
}

func startServing(t *testing.T, args string, with *fake) *serving {
	t.Helper()
	f := with
	f.events = make(chan string, 1)
	f.drained, f.aborted = make(chan struct{}), make(chan struct{})
	s := &serving{fake: f, signals: signals{}, t: t, log: &logRecords{came: make(chan string, 100)}, status: make(chan int, 1)}
	p := &program{
		environ: []string{"LINEGATE_PORT=tcp://192.0.2.1:8885"}, stdout: &bytes.Buffer{}, stderr: s.log,
		notify: s.notify,
		open:   func(*config.Config, *slog.Logger, *slog.LevelVar) (gateway, error) { return f, nil },
	}
	go func() { s.status <- p.run(t.Context(), strings.Fields(args)) }()
	s.wantEvent("run")
	s.log.want(t, "WARN LINEGATE_PORT: no key has this variable; ignored (lists are set by file or flags)")
	return s
}

func (s *serving) wantEvent(want string) {
	s.t.Helper()
	if got := <-s.events; got != want {
		s.t.Fatalf("gateway: %s, want %s", got, want)
	}
}

func (s *serving) wantStatus(want int) {
	s.t.Helper()
	if got := <-s.status; got != want {
		s.t.Errorf("exit status %d, want %d", got, want)
	}
}

// logRecords takes standard error, and hands out its lines as "LEVEL message
// error".
type logRecords struct {
	came chan string
}

func (l *logRecords) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		var record struct{ Level, Msg, Error, Signal string }
		if json.Unmarshal(line, &record) == nil {
			l.came <- strings.TrimSpace(strings.Join([]string{record.Level, record.Msg, record.Error + record.Signal}, " "))
		} else {
			l.came <- strings.TrimSpace(string(line))
		}
	}
	return len(b), nil
}

func (l *logRecords) want(t *testing.T, want string) {
	t.Helper()
	if got := <-l.came; got != want {
		t.Fatalf("standard error: %s\nwant: %s", got, want)
	}
}

func TestASignalDrains(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			s := startServing(t, "serve"+issuerFlags, &fake{})
			s.send(sig)
			s.wantEvent("drain")
			s.log.want(t, "INFO draining "+sig.String())
			close(s.drained)
			s.wantStatus(exitOK)
		})
	}
}

// A second signal ends it at once: what that makes of its sessions is waited for,
// for a moment.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	for _, stubborn := range []bool{false, true} {
		t.Run(fmt.Sprintf("stubborn=%t", stubborn), func(t *testing.T) {
			s := startServing(t, "serve"+issuerFlags, &fake{stubborn: stubborn})
			s.send(syscall.SIGINT)
			s.wantEvent("drain")
			s.log.want(t, "INFO draining interrupt")
			s.send(syscall.SIGHUP) // nothing to reload for
			s.log.want(t, "WARN not reloaded: draining")
			s.send(syscall.SIGTERM)
			s.wantEvent("abort")
			if !stubborn {
				s.wantEvent("end of its sessions")
			}
			s.log.want(t, "linegate: ended at once by a second signal")
			s.wantStatus(exitFailed)
			close(s.drained)
		})
	}
}

func TestSIGHUPReloads(t *testing.T) {
	inDir(t, goodFile)
	s := startServing(t, "serve --config linegate.yaml", &fake{})

	rewrite(t, goodFile+"log: {level: warn}\n")
	s.send(syscall.SIGHUP)
	s.wantEvent("reload warn")
	s.log.want(t, "INFO configuration reloaded")

	// A bad file does not reach the gateway, and serving goes on.
	rewrite(t, goodFile+"log: {level: loud}\n")
	s.send(syscall.SIGHUP)
	s.wantEvent("reload failed")
	s.log.want(t, `ERROR configuration not reloaded linegate.yaml:5: log.level: want one of debug, info, warn, error, got "loud"`)

	// The warning of the start does not come again; a new one does.
	rewrite(t, goodFile+"drain: {delay: 70s}\n")
	s.send(syscall.SIGHUP)
	s.wantEvent("reload info")
	s.log.want(t, "WARN linegate.yaml:5: drain.timeout: a stop takes up to 1m35s with drain.delay; the platform's grace must be longer")
	s.log.want(t, "INFO configuration reloaded")

	s.send(syscall.SIGTERM)
	s.wantEvent("drain")
	close(s.drained)
	s.wantStatus(exitOK)
}

func TestAGatewayThatRefusesAReload(t *testing.T) {
	s := startServing(t, "serve"+issuerFlags, &fake{reloadErr: errors.New("issuers[0]: no")})
	s.send(syscall.SIGHUP)
	s.wantEvent("reload info")
	s.log.want(t, "ERROR configuration not reloaded issuers[0]: no")
	s.send(syscall.SIGTERM)
	s.wantEvent("drain")
	close(s.drained)
	s.wantStatus(exitOK)
}

// A reload that hangs keeps no other signal waiting, and of those to reload again,
// however many, none takes its place. They become one, which comes too late.
func TestAReloadThatHangs(t *testing.T) {
	hang := make(chan struct{})
	s := startServing(t, "serve"+issuerFlags, &fake{hang: hang, reloadErr: errors.New("too late: draining")})
	s.send(syscall.SIGHUP)
	s.wantEvent("reload info")
	for range 100 {
		s.send(syscall.SIGHUP)
	}
	s.send(syscall.SIGTERM)
	s.wantEvent("drain")
	s.log.want(t, "INFO draining terminated")
	hang <- struct{}{}
	s.log.want(t, "ERROR configuration not reloaded too late: draining")
	s.log.want(t, "WARN not reloaded: draining")
	close(s.drained)
	s.wantStatus(exitOK)
}

func TestAGatewayThatFails(t *testing.T) {
	s := startServing(t, "serve"+issuerFlags, &fake{runErr: errors.New("the listener broke")})
	s.log.want(t, "linegate: the listener broke")
	s.wantStatus(exitFailed)
}

func TestAGatewayThatCannotStart(t *testing.T) {
	var stderr bytes.Buffer
	p := &program{
		stdout: &stderr, stderr: &stderr, notify: signals{}.notify,
		open: func(*config.Config, *slog.Logger, *slog.LevelVar) (gateway, error) {
			return nil, errors.New("listen[0].address: address already in use")
		},
	}
	if status := p.run(t.Context(), strings.Fields("serve"+issuerFlags)); status != exitFailed {
		t.Errorf("exit status %d", status)
	}
	if got, want := stderr.String(), "linegate: listen[0].address: address already in use\n"; got != want {
		t.Errorf("\ngot  %swant %s", got, want)
	}
}
