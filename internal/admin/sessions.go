package admin

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// Sessions are those that are open.
type Sessions interface {
	// Sessions returns all of them, in no order.
	Sessions() []Session
	// Session returns the one with this id.
	Session(id string) (Session, bool)
	// Review has every session look whether its token was revoked, and
	// returns how many were.
	Review() int
}

// Session is a device that is connected.
type Session interface {
	ID() string
	Identity() *auth.Identity // which no renewal changes behind End
	Remote() string           // the client's address
	Opened() time.Time        // when it was authenticated
	Expires() time.Time       // when it ends unless renewed
	End(code wire.Code, retryAfter time.Duration)
}

// sessionItem is a session as operators see it.
type sessionItem struct {
	Session  string    `json:"session"`
	Issuer   string    `json:"issuer"` // its configured name
	Subject  string    `json:"subject"`
	ClientID string    `json:"client_id"`
	Scopes   []string  `json:"scopes"`
	KeyID    string    `json:"key_id"`
	TokenID  string    `json:"token_id"`
	Remote   string    `json:"remote"`
	Opened   time.Time `json:"opened_at"`
	Expires  time.Time `json:"expires_at"`
}

// listSessions answers with the sessions that fit the filters, ordered by id.
func (a *API) listSessions(r *request) (answer, error) {
	params, err := query(r.Request, "issuer", "subject", "client_id", "key_id", "token_id", "limit", "after")
	if err != nil {
		return answer{}, err
	}
	most, err := limit(params)
	if err != nil {
		return answer{}, err
	}
	names := a.issuerNames()
	var found []Session
	for _, s := range a.Sessions.Sessions() {
		if s.ID() > params.Get("after") && fits(s.Identity(), names, params) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b Session) int { return cmp.Compare(a.ID(), b.ID()) })
	var items []sessionItem
	for _, s := range found[:min(len(found), most+1)] {
		items = append(items, describe(s, names))
	}
	return answer{status: http.StatusOK, body: page(items, most, func(i sessionItem) string { return i.Session })}, nil
}

// fits compares an identity with the filters.
func fits(identity *auth.Identity, names issuerNames, filters url.Values) bool {
	is := func(name string, values ...string) bool {
		return !filters.Has(name) || slices.Contains(values, filters.Get(name))
	}
	return is("issuer", names.of(identity), identity.Issuer) && is("subject", identity.Subject) && is("client_id", identity.ClientID) &&
		is("key_id", identity.KeyID, identity.Thumbprint) && is("token_id", identity.TokenID)
}

func describe(s Session, names issuerNames) sessionItem {
	identity := s.Identity()
	item := sessionItem{
		Session: s.ID(), Issuer: names.of(identity), Subject: identity.Subject, ClientID: identity.ClientID,
		Scopes: identity.Scopes, KeyID: cmp.Or(identity.KeyID, identity.Thumbprint), TokenID: identity.TokenID,
		Remote: s.Remote(), Opened: s.Opened().UTC(), Expires: s.Expires().UTC(),
	}
	if item.Scopes == nil {
		item.Scopes = []string{}
	}
	return item
}

// endSession closes a session. Its token stays good.
func (a *API) endSession(r *request) (answer, error) {
	if _, err := query(r.Request); err != nil {
		return answer{}, err
	}
	id := r.PathValue("id")
	act := act{name: "end session", target: []slog.Attr{given("session", id)}}
	s, found := a.Sessions.Session(id)
	if !found {
		act.result = "not found"
		a.audit(r, act)
		return answer{}, notFound("no such session")
	}
	s.End(wire.TokenRevoked, 0)
	identity := s.Identity()
	act.result = "done"
	act.target = append(act.target, slog.String("issuer", a.issuerNames().of(identity)), foreign("subject", identity.Subject))
	a.audit(r, act)
	return answer{status: http.StatusNoContent}, nil
}
