// Package admin is the admin API: JSON over HTTP, by which an operator sees the
// sessions, ends them, and revokes tokens. Operators authenticate with access
// tokens (RFC 6750), which go through the same checks as those of devices.
package admin

import (
	"errors"
	stdlog "log"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/linegate/linegate/auth"
)

// Config makes an API.
type Config struct {
	Authenticator Authenticator
	Sessions      Sessions
	Revocations   Revocations
	Issuers       func() map[string]string // identifiers (iss) by configured name
	Log           *slog.Logger
}

// API serves
//
//	GET    /v1/sessions          who is connected
//	DELETE /v1/sessions/{id}     end a session
//	POST   /v1/revocations       refuse tokens from now on
//	GET    /v1/revocations       which are refused
//	DELETE /v1/revocations/{id}  take a mistake back
//
// to whoever brings a token that the Authenticator accepts.
type API struct {
	Config
	routes *http.ServeMux
}

// New returns the handler of the API.
func New(c Config) *API {
	a := &API{Config: c, routes: http.NewServeMux()}
	a.route("/v1/sessions", methods{http.MethodGet: a.listSessions})
	a.route("/v1/sessions/{id}", methods{http.MethodDelete: a.endSession})
	a.route("/v1/revocations", methods{http.MethodPost: a.revoke, http.MethodGet: a.listRevocations})
	a.route("/v1/revocations/{id}", methods{http.MethodDelete: a.takeBack})
	a.routes.Handle("/", a.operators(func(*request) (answer, error) {
		return answer{}, notFound("no such path")
	}))
	return a
}

// NewServer returns a server of h that no slow client can hold up.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second, // a check that waits for keys, and a full page to a slow reader
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    24 << 10, // a token has at most 16 KiB by default
		ErrorLog:          stdlog.New(complaints{log}, "", 0),
	}
}

// complaints are what the server has to say, of failed TLS handshakes above all.
// They name a client each, so as messages they would all be of different kinds
// to the log, which limits each.
type complaints struct{ log *slog.Logger }

func (c complaints) Write(line []byte) (int, error) {
	c.log.Warn("admin API's server", slog.String("error", strings.TrimSpace(string(line))))
	return len(line), nil
}

// request is a request of an operator whose token was accepted.
type request struct {
	*http.Request
	operator *auth.Identity
}

// handler does what a request asks for. An error that is a *problem is told to
// the client, and any other is a fault of the gateway.
type handler func(*request) (answer, error)

type methods map[string]handler

// route serves a path by method, and answers others with what there is.
func (a *API) route(path string, by methods) {
	var allowed []string
	for method, h := range by {
		a.routes.Handle(method+" "+path, a.operators(h)) // GET stands for HEAD too
		allowed = append(allowed, method)
		if method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	a.routes.Handle(path, a.operators(func(*request) (answer, error) {
		return answer{}, &problem{
			status: http.StatusMethodNotAllowed, code: "method_not_allowed", text: "want " + strings.Join(allowed, ", "),
			header: map[string]string{"Allow": strings.Join(allowed, ", ")},
		}
	}))
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Connection", "close") // a stranger keeps none
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	a.routes.ServeHTTP(w, r)
}

// operators lets those in whom the token speaks for, and puts what h returns
// into an answer. Without a token nobody learns what paths there are.
func (a *API) operators(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reply, err := a.serve(w, h, r)
		if err == nil {
			reply.write(w)
			return
		}
		told, ok := errors.AsType[*problem](err)
		if !ok {
			a.Log.Error("admin request failed", slog.String("remote", r.RemoteAddr), slog.Any("error", err))
			told = serverError("see the gateway's log")
		}
		told.write(w)
	})
}

func (a *API) serve(w http.ResponseWriter, h handler, r *http.Request) (reply answer, err error) {
	defer func() {
		if panicked := recover(); panicked != nil { // what it says may hold a part of the token
			a.Log.Error("serving an admin request panicked", slog.String("remote", r.RemoteAddr),
				slog.String("stack", auth.PanicStack(panicked)))
			err = serverError("see the gateway's log")
		}
	}()
	operator, err := a.authenticate(r)
	if err != nil {
		return answer{}, err
	}
	w.Header().Del("Connection")
	return h(&request{r, operator})
}
