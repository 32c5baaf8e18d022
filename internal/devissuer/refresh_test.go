package devissuer_test

import (
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
)

// TestRefresh: each use gives the next refresh token (RFC 9700 section 4.14.2).
func TestRefresh(t *testing.T) {
	server := start(t, devissuer.Config{})
	current := server.login("alice")
	for range 3 {
		next := server.refresh(current.refresh).tokens(t)
		if next.refresh == current.refresh || next.access == current.access {
			t.Error("nothing new")
		}
		if err := server.verify(next.access, time.Now); err != nil {
			t.Error(err)
		}
		current = next
	}
	// RFC 6749 section 6: less may be asked for, once.
	less := server.refresh(current.refresh, "scope", "line:connect")
	if less.member(t, "scope") != "line:connect" {
		t.Errorf("%s", less.body)
	}
	all := server.refresh(less.tokens(t).refresh)
	if all.member(t, "scope") != "line:connect offline_access" {
		t.Errorf("%s", all.body)
	}
}

// TestRefreshRefused lists requests that leave the refresh token as it was.
func TestRefreshRefused(t *testing.T) {
	server := start(t, devissuer.Config{Clients: append(devissuer.DefaultClients(), another())})
	good := server.login("alice").refresh
	for _, test := range []struct {
		name, rfc string
		pairs     []string
		want      string
	}{
		{"none", "6749 5.2", []string{"refresh_token", ""}, "invalid_request"},
		{"unknown", "6749 5.2", []string{"refresh_token", "a.b"}, "invalid_grant"},
		{"another client's", "6749 6", []string{"client_id", "another"}, "invalid_grant"},
		{"client without this grant", "6749 5.2", []string{"client_id", "dev-device", "client_secret", "dev-secret"}, "unauthorized_client"},
		{"more than was granted", "6749 6", []string{"scope", "line:connect linegate:admin"}, "invalid_scope"},
	} {
		server.refresh(good, test.pairs...).refused(t, test.rfc+" "+test.name, test.want)
	}
	server.refresh(good).tokens(t)
}

// TestStolenRefreshToken: who comes second with a token, thief or owner, ends
// all that came from it (RFC 9700 section 4.14.2).
func TestStolenRefreshToken(t *testing.T) {
	server := start(t, devissuer.Config{})
	owner, other := server.login("alice"), server.login("alice")
	thief := server.refresh(owner.refresh).tokens(t)
	server.refresh(owner.refresh).refused(t, "the owner", "invalid_grant")
	server.refresh(thief.refresh).refused(t, "the thief", "invalid_grant")
	for name, token := range map[string]string{"owner's": owner.access, "thief's": thief.access, "newest": thief.refresh} {
		if server.active(token) {
			t.Errorf("the %s token is active", name)
		}
	}
	server.refresh(other.refresh).tokens(t)
}

// TestRefreshRace: of two that come at once, one gets tokens.
func TestRefreshRace(t *testing.T) {
	server := start(t, devissuer.Config{})
	token := server.login("alice").refresh
	statuses := make([]int, 4)
	var racing sync.WaitGroup
	for i := range statuses {
		racing.Go(func() { statuses[i] = server.refresh(token).status })
	}
	racing.Wait()
	won := 0
	for _, status := range statuses {
		if status == 200 {
			won++
		}
	}
	if won != 1 {
		t.Errorf("statuses %v", statuses)
	}
}

// TestRefreshTokenExpires when it is not used for a day.
func TestRefreshTokenExpires(t *testing.T) {
	clock := &clock{now: time.Unix(1_700_000_000, 0)}
	server := start(t, devissuer.Config{Now: clock.Now})
	token := server.login("alice").refresh
	for range 3 {
		clock.Advance(24*time.Hour - 1)
		token = server.refresh(token).tokens(t).refresh
	}
	clock.Advance(24 * time.Hour)
	server.refresh(token).refused(t, "after a day", "invalid_grant")
}
