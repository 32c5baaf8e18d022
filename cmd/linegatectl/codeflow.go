package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

// codeFlow is one login by authorization code (RFC 6749 section 4.1) with PKCE
// (RFC 7636), whose answer comes back to a port of this machine (RFC 8252
// section 7.3).
type codeFlow struct {
	oauth    *oauthClient
	wanted   login
	listener net.Listener
	keep     func(login) error // stores the login, before the browser is told that it worked

	config   *oauth2.Config
	state    string // ties the answer to this question
	verifier string // ties the code to this process

	answered atomic.Bool // only the first answer counts
	result   chan flowResult
}

type flowResult struct {
	login login
	err   error
}

// newCodeFlow takes over listener.
func newCodeFlow(oauth *oauthClient, wanted login, listener net.Listener, keep func(login) error) *codeFlow {
	config := oauth.config(wanted.Scope)
	config.RedirectURL = "http://" + listener.Addr().String() + callbackPath
	return &codeFlow{
		oauth: oauth, wanted: wanted, listener: listener, keep: keep,
		config: config, state: rand.Text(), verifier: oauth2.GenerateVerifier(),
		result: make(chan flowResult, 1),
	}
}

const callbackPath = "/callback"

// address is where the person's browser shall go.
func (f *codeFlow) address() string {
	options := append(f.wanted.extras(), oauth2.S256ChallengeOption(f.verifier))
	if slices.Contains(f.config.Scopes, offlineAccess) {
		// Without this, OpenID Connect servers may ignore that scope (OpenID
		// Connect Core section 11).
		options = append(options, oauth2.SetAuthURLParam("prompt", "consent"))
	}
	return f.config.AuthCodeURL(f.state, options...)
}

// loginTimeout is the time that a person has to answer. A device code has a
// time of its own.
const loginTimeout = 5 * time.Minute

// run waits for the answer and returns what came of it.
func (f *codeFlow) run(ctx context.Context) (login, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, loginTimeout, fmt.Errorf("no answer came within %v", loginTimeout))
	defer cancel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+callbackPath, func(w http.ResponseWriter, r *http.Request) { f.callback(ctx, w, r) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	defer server.Close()
	served := make(chan error, 1)
	go func() { served <- server.Serve(f.listener) }()
	select {
	case result := <-f.result:
		// The page must be out before the program is gone.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		return result.login, result.err
	case err := <-served:
		return login{}, err
	case <-ctx.Done():
		return login{}, context.Cause(ctx)
	}
}

// callback takes the answer that the browser brings.
func (f *codeFlow) callback(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Host != f.listener.Addr().String():
		writePage(w, http.StatusForbidden, page{"Not here", "This address is for the answer to one login."})
		return
	case f.answered.Swap(true):
		writePage(w, http.StatusGone, page{"Over", "This login has had its answer. Look into the terminal."})
		return
	}
	got, err := f.finish(ctx, r.URL.RawQuery)
	switch {
	case errors.Is(err, errDenied):
		writePage(w, http.StatusOK, page{"Denied", "Nothing was granted to linegatectl. You can close this page."})
	case err != nil:
		writePage(w, http.StatusBadRequest, page{"That did not work", "The login failed: " + plain(err) + "."})
	default:
		writePage(w, http.StatusOK, page{"Logged in", "You are logged in as " + got.who() + ". You can close this page and go back to the terminal."})
	}
	f.result <- flowResult{got, err}
}

// errDenied is a person who said no, or an issuer that did.
var errDenied = errors.New("denied: the issuer or the person there granted nothing (access_denied)")

// finish checks the answer (RFC 6749 section 4.1.2), redeems its code and
// stores the login.
func (f *codeFlow) finish(ctx context.Context, query string) (login, error) {
	code, err := f.code(query)
	if err != nil {
		return login{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	options := append(f.wanted.extras(), oauth2.VerifierOption(f.verifier))
	token, err := f.config.Exchange(f.oauth.bind(ctx), code, options...)
	if err != nil {
		return login{}, answered("token", err, code, f.verifier)
	}
	got, err := f.wanted.granted(token, time.Now())
	if err != nil {
		return login{}, err
	}
	return got, f.keep(got)
}

// code returns the answer's code, once it is certain that the answer is one to
// this question and comes from this issuer.
func (f *codeFlow) code(query string) (string, error) {
	answer, err := url.ParseQuery(query)
	if err != nil {
		return "", errors.New("the answer's parameters are not form-encoded")
	}
	for _, name := range []string{"state", "iss", "error", "code"} {
		if len(answer[name]) > 1 { // RFC 6749 section 3.1
			return "", fmt.Errorf("the answer has %s more than once", name)
		}
	}
	if !equal(answer.Get("state"), f.state) { // section 10.12
		return "", errors.New("the answer's state is not the one that was sent: it belongs to another login, or somebody tampers")
	}
	// RFC 9207 section 2.4: so that no other issuer's code is brought here.
	_, hasIss := answer["iss"]
	if (hasIss || f.oauth.metadata.IssInResponse) && !equal(answer.Get("iss"), f.oauth.issuer) {
		return "", fmt.Errorf("the answer's iss is %s, want %s: it comes from another issuer, or somebody tampers",
			brief(answer.Get("iss"), hasIss), f.oauth.issuer)
	}
	switch refused := answer.Get("error"); {
	case refused == "access_denied":
		return "", errDenied
	case refused != "":
		text := "the issuer answered " + brief(refused, true)
		if description := answer.Get("error_description"); description != "" {
			text += ": " + brief(description, true)
		}
		return "", errors.New(strings.TrimSuffix(text, "."))
	case answer.Get("code") == "":
		return "", errors.New("the answer has no code")
	}
	return answer.Get("code"), nil
}

// equal takes the same time wherever two values differ.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
