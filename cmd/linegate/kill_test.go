package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// programVariable makes this test's process the program, which can then be killed.
const programVariable = "TEST_IS_LINEGATE"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

// The whole program is killed as soon as it has said that a revocation is stored,
// and started again while the issuer is away: who was revoked stays out, and
// everybody else gets in. The same when the revocation was taken back.
func TestKill(t *testing.T) {
	issuer := authtest.Serve(t)
	inDir(t, `listen:
  - {name: devices, address: 127.0.0.1:0}
ops: {address: 127.0.0.1:0}
admin: {address: 127.0.0.1:0, issuers: [main]}
state_dir: state
issuers:
  - name: main
    issuer: `+issuer.URL+`
    audience: [`+authtest.Audience+`]
    required_scopes: [`+authtest.Scope+`]
`)
	alice, bob := issuer.Token(authtest.Sub("alice")), issuer.Token(authtest.Sub("bob"))
	operator := issuer.Token(authtest.Claim("scope", "linegate:admin"))

	p := startProgram(t)
	device := p.login(alice)
	device.want("OK AUTH v=1 sub=alice ")
	waitForFile(t, "state/keys-*")
	var revocation struct {
		ID    string
		Ended int `json:"sessions_ended"`
	}
	p.ask(operator, http.MethodPost, "", `{"issuer":"main","subject":"alice"}`, http.StatusCreated, &revocation)
	if revocation.Ended != 1 {
		t.Errorf("%d sessions ended", revocation.Ended)
	}
	p.kill()

	issuer.Fail(authtest.Refused)
	p = startProgram(t)
	p.login(alice).want("BYE invalid_token ")
	p.login(bob).want("OK AUTH v=1 sub=bob ")
	p.ask(operator, http.MethodDelete, "/"+revocation.ID, "", http.StatusNoContent, nil)
	p.kill()

	p = startProgram(t)
	p.login(alice).want("OK AUTH v=1 sub=alice ")
}

// TestLogIsGone: when nobody reads standard error any more, the program goes on, and
// ends in order.
func TestLogIsGone(t *testing.T) {
	issuer := authtest.Serve(t)
	inDir(t, `listen:
  - {name: devices, address: 127.0.0.1:0}
ops: {address: 127.0.0.1:0}
admin: {address: 127.0.0.1:0, issuers: [main]}
issuers:
  - name: main
    issuer: `+issuer.URL+`
    audience: [`+authtest.Audience+`]
    required_scopes: [`+authtest.Scope+`]
`)
	p := startProgram(t)
	p.log.Close()
	for range 2 {
		p.login("e30.e30.e30").want("BYE invalid_token ") // a warning is written at once
		p.login(issuer.Token(authtest.Sub("alice"))).want("OK AUTH v=1 sub=alice ")
	}
	if err := p.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.process.Wait(); err != nil {
		t.Error(err)
	}
}

// killable is the program in a process of its own.
type killable struct {
	t             *testing.T
	process       *exec.Cmd
	log           io.ReadCloser
	records       records
	admin, device string // addresses
	ops           string // URL
}

func startProgram(t *testing.T) *killable {
	t.Helper()
	return launch(t, exec.Command(os.Args[0], "serve", "--config", "linegate.yaml")).listens()
}

// listens waits until the program says where it listens.
func (p *killable) listens() *killable {
	p.device = p.records.wait("listening")["address"]
	p.ops = "http://" + p.records.wait("operator's HTTP")["address"]
	p.admin = p.records.wait("admin API")["address"]
	return p
}

// launch starts a command of this test's program.
func launch(t *testing.T, command *exec.Cmd) *killable {
	t.Helper()
	p := &killable{t: t, process: command, records: make(records, 10_000)}
	p.process.Env = append(os.Environ(), append(p.process.Env, programVariable+"=1")...)
	log, err := p.process.StderrPipe()
	p.log = log
	if err == nil {
		err = p.process.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			p.records <- []byte(lines.Text())
		}
		close(p.records)
	}()
	t.Cleanup(func() {
		_ = p.process.Process.Kill()
		<-ended
		_ = p.process.Wait() // that it was killed
	})
	return p
}

func (p *killable) kill() {
	p.t.Helper()
	if err := p.process.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	for range p.records { // to the end
	}
}

// ask makes a request about revocations, and reads what it was told into answer.
func (p *killable) ask(token, method, path, body string, status int, answer any) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.admin+"/v1/revocations"+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && answer != nil {
		err = json.Unmarshal(text, answer)
	}
	if err != nil || response.StatusCode != status {
		p.t.Fatalf("%s, want %d: %s, %v", response.Status, status, text, err)
	}
}

// login is a connection on which an AUTH was sent.
func (p *killable) login(token string) *answers {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.device)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "AUTH "+token+"\n"); err != nil {
		p.t.Fatal(err)
	}
	return &answers{p.t, conn, bufio.NewScanner(conn)}
}

type answers struct {
	t    *testing.T
	conn net.Conn
	*bufio.Scanner
}

func (a *answers) want(prefix string) {
	a.t.Helper()
	if !a.Scan() || !strings.HasPrefix(a.Text(), prefix) {
		a.t.Fatalf("line %q, %v; want %q", a.Text(), a.Err(), prefix)
	}
}

func (a *answers) say(line string) {
	a.t.Helper()
	if _, err := io.WriteString(a.conn, line+"\n"); err != nil {
		a.t.Fatal(err)
	}
}

// waitForFile polls for what no event tells.
func waitForFile(t *testing.T, pattern string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if found, err := filepath.Glob(pattern); err != nil || len(found) > 0 && !strings.HasSuffix(found[0], ".tmp") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no file %s in 20 s", pattern)
		}
	}
}
