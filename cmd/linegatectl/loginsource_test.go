package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
)

// Four processes find that the token is about to expire. One of them renews it
// and all have the new one; a refresh token used twice would end the login.
func TestProcessesShareOneRefresh(t *testing.T) {
	issuer := observedIssuer(t, devissuer.Config{})
	_, store := loggedIn(t, issuer)
	expire(t, store, time.Now())

	// The lock is held until all have looked at the file and found the issuer,
	// so that they all want to refresh.
	const processes = 4
	looked := make(chan struct{}, 2*processes)
	issuer.fail("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, r *http.Request) {
		issuer.issuer.ServeHTTP(w, r)
		looked <- struct{}{}
	})
	unlock, err := store.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var outputs [processes]bytes.Buffer
	var ended [processes]chan error
	for i := range ended {
		cmd := exec.Command(self, "token", "--issuer", issuer.url)
		cmd.Env = append(os.Environ(), roleVariable+"=linegatectl", storeVariable+"="+store.path)
		cmd.Stdout, cmd.Stderr = &outputs[i], &outputs[i]
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended[i] = make(chan error, 1)
		go func() {
			ended[i] <- cmd.Wait()
			looked <- struct{}{} // one that does not wait for the lock must not be waited for
		}()
	}
	for range processes {
		<-looked
	}
	unlock()
	for i := range ended {
		if err := <-ended[i]; err != nil {
			t.Errorf("%v: %s", err, &outputs[i])
		}
		if outputs[i].String() != outputs[0].String() || subjectOf(t, outputs[i].String()) != "alice" {
			t.Errorf("process %d has another token", i)
		}
	}
	if n := issuer.count("refresh_token"); n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
	got := runWith(t, []string{storeVariable + "=" + store.path}, "", "token", "--fresh", "--issuer", issuer.url)
	if got.status != exitOK || subjectOf(t, got.stdout) != "alice" {
		t.Errorf("the login is lost: %s", got.stderr)
	}
}

// expire makes the stored access tokens expire then.
func expire(t *testing.T, store *tokenStore, at time.Time) {
	t.Helper()
	err := store.update(t.Context(), func(all *contents) error {
		for i := range all.Logins {
			all.Logins[i].Expires = at
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// scripted is an issuer whose token endpoint gives these answers one after the
// other. Of "grant N EXTRA" the token is token(N), and the refresh token rN; EXTRA
// stands in the answer too.
type scripted struct {
	t       *testing.T
	mu      sync.Mutex
	answers []string
	asked   []string // refresh tokens that came, and other grants
}

func (s *scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/token" {
		return respond(200, `{"issuer":"https://login.test","token_endpoint":"https://login.test/token"}`), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	s.asked = append(s.asked, r.PostForm.Get("refresh_token"))
	if len(s.answers) == 0 {
		s.t.Errorf("asked for %s: no more answers", r.PostForm.Get("grant_type"))
		return nil, io.ErrUnexpectedEOF
	}
	answer := s.answers[0]
	s.answers = s.answers[1:]
	if n, extra, ok := strings.Cut(strings.TrimPrefix(answer, "grant "), " "); ok && strings.HasPrefix(answer, "grant ") {
		return respond(200, fmt.Sprintf(`{"access_token":%q,"token_type":"Bearer"%s}`, jwt(n), strings.ReplaceAll(extra, "'", `"`))), nil
	}
	if answer == "down" {
		return nil, io.ErrUnexpectedEOF
	}
	return respond(400, answer), nil
}

func respond(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), ProtoMajor: 1, ProtoMinor: 1,
	}
}

// jwt is a token that nobody has signed.
func jwt(id string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{}`)) + "." + encode([]byte(`{"sub":"alice","jti":"`+id+`"}`)) + ".c2ln"
}

// When a stored token is used, when renewed, and what comes of refusals. The
// login begins with token 0, which lives for 5 min, and refresh token r0.
func TestLoginSource(t *testing.T) {
	const (
		minute   = time.Minute
		next     = `grant 1 ,'expires_in':300,'refresh_token':'r1'`
		loggedIn = "; log in again: linegatectl login --issuer https://login.test"
		renewal  = "the login of alice at https://login.test was not renewed: "
	)
	type step struct {
		at    time.Duration // since the login
		fresh bool
		want  string // id of the token, or the error
	}
	for name, test := range map[string]struct {
		login   func(*login)
		answers []string
		steps   []step
		asked   string // refresh tokens sent
	}{
		"lasts": {steps: []step{{0, false, "0"}, {4 * minute, false, "0"}}},
		"a minute left": {
			answers: []string{next},
			steps:   []step{{4*minute + 1, false, "1"}, {8 * minute, false, "1"}}, asked: "r0",
		},
		"a short life: half of it left": {
			login:   func(l *login) { l.Expires = l.Obtained.Add(20 * time.Second) },
			answers: []string{next},
			steps:   []step{{10 * time.Second, false, "0"}, {10*time.Second + 1, false, "1"}}, asked: "r0",
		},
		"fresh":                     {answers: []string{next}, steps: []step{{0, false, "0"}, {0, true, "1"}, {0, false, "1"}}, asked: "r0"},
		"fresh at once":             {answers: []string{next}, steps: []step{{0, true, "1"}}, asked: "r0"},
		"rotated":                   {answers: []string{next, `grant 2 ,'refresh_token':'r2'`}, steps: []step{{0, true, "1"}, {0, true, "2"}}, asked: "r0 r1"},
		"not rotated":               {answers: []string{`grant 1 `, `grant 2 `}, steps: []step{{0, true, "1"}, {0, true, "2"}}, asked: "r0 r0"},
		"expiry unknown: lasts":     {login: func(l *login) { l.Expires = time.Time{} }, steps: []step{{999 * time.Hour, false, "0"}}},
		"issuer down, token alive":  {answers: []string{"down", next}, steps: []step{{4*minute + 30*time.Second, false, "0"}, {5*minute - 1, false, "1"}}, asked: "r0 r0"},
		"issuer down, fresh wanted": {answers: []string{"down", next}, steps: []step{{0, true, renewal + `token endpoint: Post "https://login.test/token": unexpected EOF`}, {0, true, "1"}}, asked: "r0 r0"},
		"issuer down, token dead": {
			answers: []string{"down"},
			steps:   []step{{5 * minute, false, renewal + `token endpoint: Post "https://login.test/token": unexpected EOF`}}, asked: "r0",
		},
		"refused for now": {
			answers: []string{`{"error":"temporarily_unavailable","error_description":"not r0 now"}`, next},
			steps: []step{
				{5 * minute, false, renewal + "the token endpoint answered HTTP 400 temporarily_unavailable: not <secret> now"},
				{5 * minute, false, "1"},
			},
			asked: "r0 r0",
		},
		"invalid_grant: for good, and not asked again": {
			answers: []string{`{"error":"invalid_grant"}`},
			steps: []step{
				{4*minute + 1, false, "0"},
				{5 * minute, false, "the login of alice at https://login.test cannot be renewed" + loggedIn},
			},
			asked: "r0",
		},
		"invalid_grant, fresh wanted": {
			answers: []string{`{"error":"invalid_grant","error_description":"ended"}`},
			steps: []step{
				{0, true, "the issuer ended the login: the token endpoint answered HTTP 400 invalid_grant: ended" + loggedIn},
				{0, false, "0"}, // it has not expired
			},
			asked: "r0",
		},
		"no refresh token": {
			login: func(l *login) { l.RefreshToken = "" },
			steps: []step{{4*minute + 30*time.Second, false, "0"}, {5 * minute, false, "the login of alice at https://login.test cannot be renewed" + loggedIn}},
		},
		"a token that is of no use; the refresh token that came with it is": {
			answers: []string{`grant 1 ,'token_type':'DPoP','refresh_token':'r1'`, next},
			steps: []step{
				{0, true, renewal + "the issuer gave a token of type DPoP, want Bearer"},
				{0, true, "1"},
			},
			asked: "r0 r1",
		},
		"logged out": {
			login: func(l *login) { l.ClientID = "other" },
			steps: []step{{0, false, "logged out" + loggedIn}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				stored := login{
					Issuer: "https://login.test", ClientID: loginClient, Subject: "alice",
					AccessToken: jwt("0"), RefreshToken: "r0", Obtained: begin, Expires: begin.Add(5 * time.Minute),
				}
				if test.login != nil {
					test.login(&stored)
				}
				store := &tokenStore{path: filepath.Join(t.TempDir(), "tokens.json")}
				if err := store.update(t.Context(), func(all *contents) error { all.put(stored); return nil }); err != nil {
					t.Fatal(err)
				}
				issuer := &scripted{t: t, answers: test.answers}
				source := &loginSource{store: store, issuer: "https://login.test", clientID: loginClient, transport: issuer}
				for _, step := range test.steps {
					<-time.After(time.Until(begin.Add(step.at)))
					token, err := source.Token(t.Context(), step.fresh)
					got := fmt.Sprint(err)
					if err == nil {
						_, claims, _ := decode(token)
						got = fmt.Sprint(claims["jti"])
					}
					if got != step.want {
						t.Errorf("after %v: got  %s\nwant %s", step.at, got, step.want)
					}
				}
				if asked := strings.Join(issuer.asked, " "); asked != test.asked {
					t.Errorf("refresh tokens sent: %s, want %s", asked, test.asked)
				}
			})
		})
	}
}

// What another process has renewed is taken over, also where a fresh token is
// wanted: it is one that this process has not had.
func TestLoginSourceTakesOver(t *testing.T) {
	store := &tokenStore{path: filepath.Join(t.TempDir(), "tokens.json")}
	now := time.Now()
	put := func(id string) {
		t.Helper()
		l := login{Issuer: "https://login.test", ClientID: "c", AccessToken: jwt(id), RefreshToken: "r", Obtained: now, Expires: now.Add(time.Hour)}
		if err := store.update(t.Context(), func(all *contents) error { all.put(l); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	put("0")
	source := &loginSource{store: store, issuer: "https://login.test", clientID: "c", transport: &scripted{t: t}}
	if token, err := source.Token(t.Context(), false); token != jwt("0") || err != nil {
		t.Error(err)
	}
	put("1")
	for range 2 { // it is the latest now, but not yet a refused one
		if token, err := source.Token(t.Context(), false); token != jwt("1") || err != nil {
			t.Error(err)
		}
	}
	put("2")
	if token, err := source.Token(t.Context(), true); token != jwt("2") || err != nil {
		t.Error(err)
	}
}

// A person's Ctrl-C in the middle of a refresh does not lose what the issuer
// has given by then.
func TestInterruptedRefreshIsKept(t *testing.T) {
	issuer := observedIssuer(t, devissuer.Config{})
	environ, store := loggedIn(t, issuer)
	expire(t, store, time.Now())
	before, err := store.find(issuer.url, loginClient)
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	issuer.fail("/token", func(w http.ResponseWriter, r *http.Request) {
		interrupt()
		issuer.issuer.ServeHTTP(w, r)
	})
	var out bytes.Buffer
	Run(ctx, []string{"token", "--issuer", issuer.url}, environ, strings.NewReader(""), &out, &out)
	after, err := store.find(issuer.url, loginClient)
	if err != nil || after.RefreshToken == before.RefreshToken || after.RefreshToken == "" {
		t.Errorf("the refresh token is lost: %v %s", err, &out)
	}
}
