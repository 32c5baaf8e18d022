package admin

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/state"
	"github.com/linegate/linegate/wire"
)

// Revocations keeps what was revoked.
type Revocations interface {
	// Revoke puts a revocation in force, calls inForce, and stores it. An
	// error that wraps state.ErrNotStored is about the last alone, any other
	// about the revocation.
	Revoke(r state.Record, inForce func()) (state.Record, error)
	// TakeBack ends one, or returns state.ErrNotFound.
	TakeBack(id string) (state.Record, error)
	// List returns those with ids above after, at most limit, in order of
	// creation, and whether there are more.
	List(after string, limit int) (page []state.Record, more bool)
}

// revocationItem is a revocation as operators see it. What it does not name is
// not there.
type revocationItem struct {
	ID           string      `json:"id"`
	Session      string      `json:"session,omitempty"`
	Issuer       string      `json:"issuer"` // its configured name
	Subject      string      `json:"subject,omitempty"`
	ClientID     string      `json:"client_id,omitempty"`
	TokenID      string      `json:"token_id,omitempty"`
	KeyID        string      `json:"key_id,omitempty"`
	All          bool        `json:"all,omitempty"` // of the issuer's
	IssuedBefore *time.Time  `json:"issued_before"` // nil: whenever it was issued
	Expires      *time.Time  `json:"expires_at"`    // nil: never
	Reason       string      `json:"reason"`
	Created      time.Time   `json:"created_at"`
	CreatedBy    state.Actor `json:"created_by"`
	Ended        *int        `json:"sessions_ended,omitempty"` // when it was made
	OwnToken     bool        `json:"own_token_revoked,omitempty"`
}

// revoke puts a revocation in force.
func (a *API) revoke(r *request) (answer, error) {
	wanted, session, err := a.wantedRevocation(r)
	if err != nil {
		return a.revokedNothing(r, wanted, err)
	}
	ended := 0
	if session != nil {
		endWithToken(session, &wanted)
		ended = 1
	}
	record, err := a.Revocations.Revoke(wanted, func() { ended += a.Sessions.Review() })
	if err != nil && !errors.Is(err, state.ErrNotStored) {
		return a.revokedNothing(r, wanted, err)
	}
	act := act{name: "revoke", result: "done", target: a.target(record), more: []slog.Attr{
		slog.String("reason", record.Reason), slog.Int("sessions_ended", ended),
	}}
	if err != nil {
		act.result = "not stored"
	}
	a.audit(r, act)
	if err != nil {
		a.Log.Error("revocation not stored", slog.String("id", record.ID), slog.Any("error", err))
		return answer{}, serverError("revocation " + record.ID + " is in force, but could not be stored yet: a restart would forget it")
	}
	item := a.describeRevocation(record)
	item.Ended, item.OwnToken = &ended, means(record.Revocation, r.operator)
	return answer{status: http.StatusCreated, location: "/v1/revocations/" + record.ID, body: item}, nil
}

// revokedNothing leaves a record of a request that is refused. Of what the request
// says that has only the session that is not there: elsewhere a token may stand in
// the wrong place.
func (a *API) revokedNothing(r *request, wanted state.Record, err error) (answer, error) {
	act := act{name: "revoke", result: "refused"}
	if told, ok := errors.AsType[*problem](err); ok && told.status == http.StatusNotFound {
		act.result, act.target = "not found", []slog.Attr{given("session", wanted.Session)}
	}
	a.audit(r, act)
	return answer{}, err
}

// means reports whether the revocation is one of the identity's token.
func means(r auth.Revocation, id *auth.Identity) bool {
	var alone auth.Revocations
	return alone.Add(r) == nil && alone.Revoked(id, time.Now())
}

var revocationMembers = []string{
	"session", "issuer", "subject", "client_id", "token_id", "key_id", "issued_before", "expires_at", "reason",
}

// endWithToken ends a session and has its token revoked: the one that it has when
// it ends, which a renewal may just have brought.
func endWithToken(s Session, wanted *state.Record) {
	s.End(wire.TokenRevoked, 0)
	identity := s.Identity()
	wanted.Digest = identity.Digest
	if wanted.Until.IsZero() {
		wanted.Until = identity.Expires
	}
}

// wantedRevocation is what a request wants to be revoked, and the session that
// it names, if it does.
func (a *API) wantedRevocation(r *request) (wanted state.Record, s Session, err error) {
	if _, err := query(r.Request); err != nil {
		return wanted, nil, err
	}
	members, err := body(r.Request, revocationMembers, []string{"all"})
	if err != nil {
		return wanted, nil, err
	}
	if err := oneTarget(members); err != nil {
		return wanted, nil, err
	}
	wanted.Session, wanted.Reason = members["session"], members["reason"]
	wanted.CreatedBy = state.Actor{Issuer: r.operator.IssuerName, Subject: r.operator.Subject}
	if wanted.Session != "" {
		s, wanted.Revocation, err = a.tokenOf(wanted.Session)
	} else {
		wanted.Revocation, err = a.tokensOf(members)
	}
	if err != nil {
		return wanted, nil, err
	}
	if text, ok := members["expires_at"]; ok {
		if wanted.Until, err = parseTime("expires_at", text); err != nil {
			return wanted, nil, err
		}
		if !wanted.Until.After(time.Now()) {
			return wanted, nil, invalidRequest("expires_at: is past")
		}
	}
	if err := wanted.Check(); err != nil {
		return wanted, nil, invalidRequest(err.Error())
	}
	return wanted, s, nil
}

// oneTarget refuses what names no target, or two. That an issuer stands alone is
// not enough to mean all of its tokens: a program that lost the subject sends the
// same.
func oneTarget(members map[string]string) error {
	first := ""
	for _, name := range []string{"session", "subject", "client_id", "token_id", "key_id", "all"} {
		_, named := members[name]
		switch {
		case named && first != "":
			return invalidRequest(fmt.Sprintf("%s: not beside %s; want one target", name, first))
		case named:
			first = name
		}
	}
	_, issuer := members["issuer"]
	_, before := members["issued_before"]
	switch {
	case first == "session" && issuer:
		return invalidRequest("issuer: not beside session; want one target")
	case first != "session" && !issuer:
		return invalidRequest("issuer: missing; want an issuer's name, or session")
	case first == "":
		return invalidRequest(`issuer: not by itself; want subject, client_id, token_id, key_id or "all": true beside it`)
	case before && first != "all" && first != "subject" && first != "client_id":
		return invalidRequest("issued_before: only for a subject, a client or an issuer")
	}
	return nil
}

// tokenOf means the present token of a session, and no other.
func (a *API) tokenOf(session string) (Session, auth.Revocation, error) {
	s, found := a.Sessions.Session(session)
	if !found {
		return nil, auth.Revocation{}, notFound("session: there is no such session")
	}
	identity := s.Identity()
	return s, auth.Revocation{Issuer: identity.Issuer, Digest: identity.Digest}, nil
}

// tokensOf means those of an issuer that the members name.
func (a *API) tokensOf(members map[string]string) (auth.Revocation, error) {
	iss, err := a.issuer(members["issuer"])
	if err != nil {
		return auth.Revocation{}, err
	}
	r := auth.Revocation{
		Issuer: iss, Subject: members["subject"], ClientID: members["client_id"],
		TokenID: members["token_id"], Key: members["key_id"],
	}
	if r.TokenID != "" || r.Key != "" {
		return r, nil
	}
	r.IssuedBefore = time.Now()
	if text, ok := members["issued_before"]; ok {
		if r.IssuedBefore, err = parseTime("issued_before", text); err != nil {
			return r, err
		}
	}
	// An iat is a whole second: a token of this one may be from before.
	if whole := r.IssuedBefore.Truncate(time.Second); r.IssuedBefore.After(whole) {
		r.IssuedBefore = whole.Add(time.Second)
	}
	return r, nil
}

// issuer returns the identifier of a configured issuer, which is given by that, as
// tokens have it in iss, or by its name.
func (a *API) issuer(given string) (iss string, err error) {
	issuers := a.Issuers()
	for _, iss := range issuers {
		if iss == given {
			return iss, nil
		}
	}
	if iss, found := issuers[given]; found {
		return iss, nil
	}
	names := strings.Join(slices.Sorted(maps.Keys(issuers)), ", ")
	return "", invalidRequest(fmt.Sprintf("issuer: none is named %.64q, nor is that the iss of one; there are: %s", given, names))
}

func parseTime(name, text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.IsZero() { // which would stand for no time
		return time.Time{}, invalidRequest(fmt.Sprintf("%s: want a time such as 2026-01-31T12:00:00Z, got %.64q", name, text))
	}
	return t.UTC(), nil
}

// listRevocations answers with those in force, in order of creation.
func (a *API) listRevocations(r *request) (answer, error) {
	params, err := query(r.Request, "limit", "after")
	if err != nil {
		return answer{}, err
	}
	most, err := limit(params)
	if err != nil {
		return answer{}, err
	}
	records, more := a.Revocations.List(params.Get("after"), most)
	items := []revocationItem{}
	for _, record := range records {
		items = append(items, a.describeRevocation(record))
	}
	l := list[revocationItem]{Items: items}
	if more {
		l.Next = &items[len(items)-1].ID
	}
	return answer{status: http.StatusOK, body: l}, nil
}

// takeBack ends a revocation: tokens that were refused for it are accepted
// again. Sessions that it ended are gone.
func (a *API) takeBack(r *request) (answer, error) {
	if _, err := query(r.Request); err != nil {
		return answer{}, err
	}
	id := r.PathValue("id")
	act := act{name: "take back", result: "done", target: []slog.Attr{given("id", id)}}
	record, err := a.Revocations.TakeBack(id)
	switch {
	case errors.Is(err, state.ErrNotFound):
		act.result = "not found"
		a.audit(r, act)
		return answer{}, notFound("no such revocation")
	case err != nil:
		act.result = "not stored"
		a.audit(r, act)
		a.Log.Error("revocation not taken back", slog.String("id", id), slog.Any("error", err))
		return answer{}, serverError("the revocation is still in force: that it was taken back could not be stored")
	}
	act.target = a.target(record)
	a.audit(r, act)
	return answer{status: http.StatusNoContent}, nil
}

func (a *API) describeRevocation(r state.Record) revocationItem {
	return revocationItem{
		ID: r.ID, Session: r.Session, Issuer: a.issuerNames().called(r.Issuer),
		Subject: r.Subject, ClientID: r.ClientID, TokenID: r.TokenID, KeyID: r.Key, All: r.All(),
		IssuedBefore: orNull(r.IssuedBefore), Expires: orNull(r.Until),
		Reason: r.Reason, Created: r.CreatedAt, CreatedBy: r.CreatedBy,
	}
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// target is what a revocation is about, for the record.
func (a *API) target(r state.Record) []slog.Attr {
	attrs := []slog.Attr{slog.String("id", r.ID), slog.String("issuer", a.issuerNames().called(r.Issuer))}
	for _, name := range []struct{ key, value string }{
		{"session", r.Session}, {"subject", r.Subject}, {"client_id", r.ClientID}, {"token_id", r.TokenID}, {"key_id", r.Key},
	} {
		if name.value != "" {
			attrs = append(attrs, foreign(name.key, name.value))
		}
	}
	if r.All() {
		attrs = append(attrs, slog.Bool("all", true))
	}
	if !r.IssuedBefore.IsZero() {
		attrs = append(attrs, slog.Time("issued_before", r.IssuedBefore))
	}
	return attrs
}
