package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/linegate/linegate/auth/authtest"
)

// The whole program is killed as soon as it has said that a revocation is stored,
// and started again while the issuer is away: who was revoked stays out, and
// everybody else gets in. The same when the revocation was taken back.
func TestKill(t *testing.T) {
	issuer := authtest.Serve(t)
	inDir(t, configuration(issuer, onePort, "state_dir: state"))
	alice, bob := issuer.Token(authtest.Sub("alice")), issuer.Token(authtest.Sub("bob"))
	operator := issuer.Token(authtest.Claim("scope", "linegate:admin"))

	p := startProgram(t)
	device := p.login(alice)
	device.want("OK AUTH v=1 sub=alice ")
	waitForKeys(t)
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
	inDir(t, configuration(issuer, onePort, "drain: {timeout: 0s}"))
	p := startProgram(t)
	p.log.Close()
	for range 2 {
		p.login("e30.e30.e30").want("BYE invalid_token ") // a warning is written at once
		p.login(issuer.Token(authtest.Sub("alice"))).want("OK AUTH v=1 sub=alice ")
	}
	p.end(syscall.SIGTERM, exitOK)
}

// waitForKeys waits until the issuer's keys are stored.
func waitForKeys(t *testing.T) {
	t.Helper()
	waitUntil(t, "stored", func() bool {
		found, err := filepath.Glob("state/keys-*")
		return err == nil && len(found) > 0 && !strings.HasSuffix(found[0], ".tmp")
	})
}
