package admin

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// crew are the sessions that the targets below choose among. Their tokens are
// an hour old.
func (s *served) crew() map[string]*visitor {
	all := map[string]*visitor{}
	for id, identity := range map[string]auth.Identity{
		"A": {Grant: &auth.Grant{IssuerName: "main", Issuer: "https://main.test", ClientID: "x", KeyID: "k", Thumbprint: "p"}, Subject: "a", TokenID: "t1"},
		"B": {Grant: &auth.Grant{IssuerName: "main", Issuer: "https://main.test", ClientID: "x", KeyID: "l", Thumbprint: "q"}, Subject: "b", TokenID: "t2"},
		"C": {Grant: &auth.Grant{IssuerName: "test", Issuer: s.issuer.URL, ClientID: "x", KeyID: "k", Thumbprint: "p"}, Subject: "a", TokenID: "t1"},
	} {
		identity.IssuedAt = time.Now().Add(-time.Hour).Truncate(time.Second)
		identity.Expires = identity.IssuedAt.Add(24 * time.Hour)
		identity.Digest = sha256.Sum256([]byte(id))
		all[id] = s.sessions.add(id, identity)
	}
	return all
}

// Each target ends the sessions that it means, is answered with what is in
// force, and leaves a record.
func TestRevoke(t *testing.T) {
	for _, test := range []struct {
		name, body string
		ends       string // of A, B and C
		has        string // of the answer
		audit      string // of the record
	}{
		{"a session", `{"session":"A"}`, "A", `"session":"A","issuer":"main"`, `"session":"A"`},
		{"a token", `{"issuer":"main","token_id":"t1"}`, "A", `"issuer":"main","token_id":"t1"`, `"issuer":"main","token_id":"t1"`},
		{"a subject", `{"issuer":"main","subject":"a"}`, "A", `"issuer":"main","subject":"a"`, `"issuer":"main","subject":"a"`},
		{"a token by its iss", `{"issuer":"https://main.test","token_id":"t1"}`, "A", `"issuer":"main","token_id":"t1"`, `"issuer":"main","token_id":"t1"`},
		{"a client", `{"issuer":"main","client_id":"x"}`, "A B", `"issuer":"main","client_id":"x"`, `"issuer":"main","client_id":"x"`},
		{"a key by its id", `{"issuer":"main","key_id":"l"}`, "B", `"issuer":"main","key_id":"l"`, `"issuer":"main","key_id":"l"`},
		{"a key by its thumbprint", `{"issuer":"main","key_id":"p"}`, "A", `"issuer":"main","key_id":"p"`, `"issuer":"main","key_id":"p"`},
		{"an issuer", `{"issuer":"main","all":true}`, "A B", `"issuer":"main","all":true,"issued_before":"20`, `"issuer":"main","all":true,"issued_before":"20`},
		{"white space, and escapes", " {\n\t\"issuer\" : \"m\\u0061in\" , \"subject\":\"b\" }\r\n", "B", `"subject":"b"`, `"subject":"b"`},
		{"somebody who is not there", `{"issuer":"main","subject":"z"}`, "", `"subject":"z"`, `"subject":"z"`},
		{"what was issued before long ago", `{"issuer":"main","all":true,"issued_before":"2020-01-02T03:04:05Z"}`, "", `"issued_before":"2020-01-02T03:04:05Z"`, `"issued_before":"2020-01-02T03:04:05Z"`},
		{
			"a time in another zone, with a fraction", `{"issuer":"main","subject":"a","issued_before":"2020-01-02T03:04:05.5+01:00"}`, "",
			`"issued_before":"2020-01-02T02:04:06Z"`, `"issued_before":"2020-01-02T02:04:06Z"`,
		},
		{"for a time", `{"issuer":"main","subject":"a","expires_at":"2999-01-01T00:00:00Z"}`, "A", `"expires_at":"2999-01-01T00:00:00Z"`, `"subject":"a"`},
		{"a subject with some of a token's marks", `{"issuer":"main","subject":"keyJones@corp.co.uk"}`, "", `"subject":"keyJones@corp.co.uk"`, `"subject":"keyJones@corp.co.uk"`},
		{"for a reason", `{"issuer":"main","subject":"a","reason":"laptop \"lost\""}`, "A", `"reason":"laptop \"lost\""`, `"reason":"laptop \"lost\""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t)
			crew := s.crew()
			got := s.do("POST", "/v1/revocations", test.body)
			if got.StatusCode != http.StatusCreated || !strings.Contains(got.text, test.has) {
				t.Fatalf("%s %s", got.Status, got.text)
			}
			var ended []string
			for _, id := range []string{"A", "B", "C"} {
				if len(crew[id].ended) > 0 {
					ended = append(ended, id)
				}
			}
			if strings.Join(ended, " ") != test.ends {
				t.Errorf("ended %v, want %s", ended, test.ends)
			}
			var item revocationItem
			got.decode(&item)
			if item.Ended == nil || *item.Ended != len(ended) || got.Header.Get("Location") != "/v1/revocations/"+item.ID ||
				item.CreatedBy.Issuer != "test" || item.CreatedBy.Subject != "alice" || time.Since(item.Created) > time.Minute {
				t.Errorf("Location %s, %s", got.Header.Get("Location"), got.text)
			}
			s.expectAudit(fmt.Sprintf(`"act":"revoke","result":"done","target":{"id":"%s",`, item.ID), test.audit, fmt.Sprintf(`"sessions_ended":%d}`, len(ended)))

			// The list has the same, but for what was counted.
			list := s.do("GET", "/v1/revocations", "")
			if want := strings.Replace(got.text, fmt.Sprintf(`,"sessions_ended":%d}`, len(ended)), "}", 1); list.text != `{"items":[`+strings.TrimSpace(want)+`],"next":null}`+"\n" {
				t.Errorf("listed %s\nwant   %s", list.text, want)
			}
		})
	}
}

// A session that is renewed while it is revoked is refused what it came to have,
// for as long as that lives.
func TestRevokeRenewed(t *testing.T) {
	for _, test := range []struct{ name, body, until string }{
		{"until it expires", `{"session":"A"}`, "2999-01-01T00:00:00Z"},
		{"for a time", `{"session":"A","expires_at":"2998-01-01T00:00:00Z"}`, "2998-01-01T00:00:00Z"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t)
			a := s.crew()["A"]
			renewed := *a.identity
			renewed.Digest = sha256.Sum256([]byte("renewed"))
			renewed.Expires = time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)
			a.renewed = &renewed
			got := s.do("POST", "/v1/revocations", test.body)
			if got.StatusCode != http.StatusCreated || !strings.Contains(got.text, `"expires_at":"`+test.until+`"`) ||
				!strings.Contains(got.text, `"sessions_ended":1}`) {
				t.Errorf("%s %s", got.Status, got.text)
			}
			if len(a.ended) != 1 || !s.state.Revocations().Revoked(&renewed, time.Now()) {
				t.Errorf("ended %v, and its token is good", a.ended)
			}
		})
	}
}

// What was not said has its default.
func TestRevocationDefaults(t *testing.T) {
	s := serve(t)
	crew := s.crew()
	for _, test := range []struct {
		body   string
		before bool
		until  time.Time
	}{
		{`{"session":"A"}`, false, crew["A"].identity.Expires},
		{`{"issuer":"main","token_id":"t1"}`, false, time.Time{}},
		{`{"issuer":"main","key_id":"k"}`, false, time.Time{}},
		{`{"issuer":"main","subject":"a"}`, true, time.Time{}},
		{`{"issuer":"main","client_id":"x"}`, true, time.Time{}},
		{`{"issuer":"main","all":true}`, true, time.Time{}},
	} {
		asked := time.Now()
		got := s.do("POST", "/v1/revocations", test.body)
		var item revocationItem
		got.decode(&item)
		if test.before {
			// A whole second, and none that was before this one.
			if at := item.IssuedBefore; at == nil || at.Before(asked) || at.After(time.Now().Add(time.Second)) || at.Nanosecond() != 0 {
				t.Errorf("%s: %s", test.body, got.text)
			}
		} else if !strings.Contains(got.text, `"issued_before":null`) {
			t.Errorf("%s: %s", test.body, got.text)
		}
		if test.until.IsZero() != (item.Expires == nil) || item.Expires != nil && !item.Expires.Equal(test.until) {
			t.Errorf("%s: %s", test.body, got.text)
		}
	}
}

// A wrong body revokes nothing, and is told what is wrong with it by name.
func TestBadRevocations(t *testing.T) {
	long := strings.Repeat("x", 257)
	s := serve(t)
	crew := s.crew()
	for _, test := range []struct{ name, body, want string }{
		{"nothing", ``, "the body is not one JSON object in UTF-8"},
		{"a form", `issuer=main`, "the body is not one JSON object in UTF-8"},
		{"a list", `[{"issuer":"main"}]`, "the body is not one JSON object in UTF-8"},
		{"half an object", `{"issuer":"main"`, "the body is not one JSON object in UTF-8"},
		{"two objects", `{"issuer":"main"}{}`, "the body is not one JSON object in UTF-8"},
		{"something behind", `{"issuer":"main"} x`, "the body is not one JSON object in UTF-8"},
		{"a comment", `{"issuer":"main"} // all`, "the body is not one JSON object in UTF-8"},
		{"Latin-1", "{\"issuer\":\"main\",\"subject\":\"\xe9\"}", "the body is not one JSON object in UTF-8"},
		{"nested 20,000 deep", `{"issuer":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "the body is not one JSON object in UTF-8"},

		{"an unknown member", `{"issuer":"main","sub":"a"}`, `"sub": no such member`},
		{"another case", `{"issuer":"main","Subject":"a"}`, `"Subject": no such member`},
		{"a member twice", `{"issuer":"main","subject":"a","subject":"b"}`, "subject: there twice"},
		{"a member twice, escaped", `{"issuer":"main","subject":"a","subj\u0065ct":"b"}`, "subject: there twice"},
		{"a number", `{"issuer":"main","subject":7}`, "subject: want a string"},
		{"null", `{"issuer":"main","all":true,"expires_at":null}`, "expires_at: want a string"},
		{"a list of subjects", `{"issuer":"main","subject":["a"]}`, "subject: want a string"},
		{"an empty subject, which is not everybody", `{"issuer":"main","subject":""}`, "subject: is empty; leave it out"},

		{"a token for its id", `{"issuer":"main","token_id":"eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiJ4In0.c2ln"}`, "token_id: has a token in it, which belongs in no record; want a name of it"},
		{"a token in the reason", `{"issuer":"main","all":true,"reason":"see eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiJ4In0.c2ln"}`, "reason: has a token in it, which belongs in no record; want a name of it"},

		{"no target", `{}`, "issuer: missing; want an issuer's name, or session"},
		{"a subject without an issuer", `{"subject":"a"}`, "issuer: missing; want an issuer's name, or session"},
		{"an issuer, which is not all of its tokens", `{"issuer":"main"}`, `issuer: not by itself; want subject, client_id, token_id, key_id or "all": true beside it`},
		{"an issuer and a time", `{"issuer":"main","issued_before":"2026-01-01T00:00:00Z"}`, `issuer: not by itself; want subject, client_id, token_id, key_id or "all": true beside it`},
		{"all of no issuer", `{"all":true}`, "issuer: missing; want an issuer's name, or session"},
		{"all that is not", `{"issuer":"main","all":false}`, "all: want true, or leave it out"},
		{"all as text", `{"issuer":"main","all":"true"}`, "all: want true, or leave it out"},
		{"all as a number", `{"issuer":"main","all":1}`, "all: want true, or leave it out"},
		{"all as null", `{"issuer":"main","all":null}`, "all: want true, or leave it out"},
		{"all twice", `{"issuer":"main","all":true,"all":true}`, "all: there twice"},
		{"all of a subject", `{"issuer":"main","subject":"a","all":true}`, "all: not beside subject; want one target"},
		{"all of a key", `{"all":true,"issuer":"main","key_id":"k"}`, "all: not beside key_id; want one target"},
		{"a session and all", `{"session":"A","all":true}`, "all: not beside session; want one target"},
		{"two targets", `{"issuer":"main","subject":"a","client_id":"x"}`, "client_id: not beside subject; want one target"},
		{"a session and its issuer", `{"session":"A","issuer":"main"}`, "issuer: not beside session; want one target"},
		{"a session and its token", `{"session":"A","token_id":"t1"}`, "token_id: not beside session; want one target"},
		{"an issuer that is none", `{"issuer":"https://other.test","all":true}`, `issuer: none is named "https://other.test", nor is that the iss of one; there are: main, test`},
		{"a long name", `{"issuer":"main","subject":"` + long + `"}`, "subject: longer than 256 bytes"},
		{"a session, for a long reason", `{"session":"A","reason":"` + long + `"}`, "reason: longer than 256 bytes"},
		{"a long reason", `{"issuer":"main","all":true,"reason":"` + long + `"}`, "reason: longer than 256 bytes"},

		{"a time for a token", `{"issuer":"main","token_id":"t","issued_before":"2026-01-01T00:00:00Z"}`, "issued_before: only for a subject, a client or an issuer"},
		{"a time for a key", `{"issuer":"main","key_id":"k","issued_before":"2026-01-01T00:00:00Z"}`, "issued_before: only for a subject, a client or an issuer"},
		{"a time for a session", `{"session":"A","issued_before":"2026-01-01T00:00:00Z"}`, "issued_before: only for a subject, a client or an issuer"},
		{"a date", `{"issuer":"main","all":true,"issued_before":"2026-01-01"}`, `issued_before: want a time such as 2026-01-31T12:00:00Z, got "2026-01-01"`},
		{"the time that stands for none", `{"issuer":"main","all":true,"issued_before":"0001-01-01T00:00:00Z"}`, `issued_before: want a time such as 2026-01-31T12:00:00Z, got "0001-01-01T00:00:00Z"`},
		{"seconds", `{"issuer":"main","all":true,"expires_at":"1767225600"}`, `expires_at: want a time such as 2026-01-31T12:00:00Z, got "1767225600"`},
		{"a year of five digits", `{"issuer":"main","all":true,"issued_before":"9999-12-31T23:59:59-01:00"}`, "issued_before: not in the years 0 to 9999"},
		{"over already", `{"issuer":"main","all":true,"expires_at":"2020-01-01T00:00:00Z"}`, "expires_at: is past"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := s.do("POST", "/v1/revocations", test.body)
			if code, text := got.problem(); got.StatusCode != http.StatusBadRequest || code != "invalid_request" || text != test.want {
				t.Errorf("%s %s, want %s", got.Status, got.text, test.want)
			}
			s.expectRefused()
		})
	}
	if got := s.do("POST", "/v1/revocations", `{"session":"Z"}`); got.StatusCode != http.StatusNotFound {
		t.Errorf("no such session: %s %s", got.Status, got.text)
	}
	s.expectAudit(`"act":"revoke","result":"not found","target":{"session":"Z"}`)
	large := s.do("POST", "/v1/revocations", `{"issuer":"main","all":true,"reason":"`+strings.Repeat("x", 64<<10)+`"}`)
	if code, text := large.problem(); large.StatusCode != http.StatusRequestEntityTooLarge || code != "invalid_request" || text != "the body has more than 65536 bytes" {
		t.Errorf("64 KiB and more: %s %s", large.Status, large.text)
	}
	s.expectRefused()
	for id, visitor := range crew {
		if len(visitor.ended) > 0 {
			t.Errorf("session %s: ended %v", id, visitor.ended)
		}
	}
	if left, _ := s.state.List("", 10); len(left) > 0 {
		t.Errorf("in force: %v", left)
	}
}

// expectRefused wants one record of a revocation that was refused, with nothing
// of what it said.
func (s *served) expectRefused() {
	s.t.Helper()
	got := s.log.take()
	_, record, _ := strings.Cut(got, `"msg":"admin act",`)
	const want = `"act":"revoke","result":"refused","issuer":"test","subject":"alice","client_id":"device-client","remote":"127.0.0.1:`
	if rest, found := strings.CutPrefix(record, want); !found || strings.ContainsAny(rest, ",:") || strings.Count(got, "\n") != 1 {
		s.t.Errorf("logged %s", got)
	}
}

// An operator is told when the own token is among those that are refused.
func TestOwnToken(t *testing.T) {
	now := time.Now()
	for body, own := range map[string]bool{
		`{"issuer":"test","subject":"alice"}`:                                        true,
		`{"issuer":"test","subject":"alice","issued_before":"2020-01-02T03:04:05Z"}`: false,
		`{"issuer":"main","subject":"alice"}`:                                        false,
		`{"issuer":"test","subject":"bob"}`:                                          false,
		`{"issuer":"test","client_id":"device-client"}`:                              true,
		`{"issuer":"test","token_id":"mine"}`:                                        true,
		`{"issuer":"test","key_id":"KID"}`:                                           true,
		`{"issuer":"test","key_id":"other"}`:                                         false,
	} {
		s := serve(t)
		body = strings.ReplaceAll(body, "KID", s.issuer.SigningKey().ID)
		token := s.token(authtest.Claim("jti", "mine"), authtest.Claim("iat", now.Add(-time.Minute).Unix()))
		got := s.send("POST", "/v1/revocations", body, http.Header{"Authorization": {"Bearer " + token}})
		var item revocationItem
		if got.decode(&item); item.OwnToken != own || strings.Contains(got.text, `"own_token_revoked":true`) != own {
			t.Errorf("%s: %s", body, got.text)
		}
	}
}

// A mistake is taken back once.
func TestTakeBack(t *testing.T) {
	s := serve(t)
	var item revocationItem
	s.do("POST", "/v1/revocations", `{"issuer":"main","subject":"a"}`).decode(&item)
	s.log.take()
	identity := &auth.Identity{Grant: &auth.Grant{Issuer: "https://main.test"}, Subject: "a"}
	if !s.state.Revocations().Revoked(identity, time.Now()) {
		t.Error("not revoked")
	}
	if got := s.do("DELETE", "/v1/revocations/"+item.ID, ""); got.StatusCode != http.StatusNoContent || got.text != "" {
		t.Errorf("%s %s", got.Status, got.text)
	}
	s.expectAudit(`"act":"take back","result":"done","target":{"id":"`+item.ID+`",`, `"issuer":"main","subject":"a"`)
	if s.state.Revocations().Revoked(identity, time.Now()) {
		t.Error("still revoked")
	}
	if got := s.do("DELETE", "/v1/revocations/"+item.ID, ""); got.StatusCode != http.StatusNotFound {
		t.Errorf("again: %s %s", got.Status, got.text)
	}
	s.expectAudit(`"act":"take back","result":"not found","target":{"id":"` + item.ID + `"}`)
}

// What cannot be stored is in force all the same, and the operator is told so.
func TestNotStored(t *testing.T) {
	s := serve(t)
	crew := s.crew()
	var stored revocationItem
	s.do("POST", "/v1/revocations", `{"issuer":"main","subject":"b"}`).decode(&stored)
	s.log.take()
	s.state.Close() // nothing can be written any more

	got := s.do("POST", "/v1/revocations", `{"issuer":"main","subject":"a"}`)
	code, text := got.problem()
	if got.StatusCode != http.StatusInternalServerError || code != "server_error" || !strings.Contains(text, "is in force, but could not be stored") {
		t.Errorf("%s %s", got.Status, got.text)
	}
	if len(crew["A"].ended) != 1 {
		t.Error("the session goes on")
	}
	if logged := s.log.take(); !strings.Contains(logged, `"act":"revoke","result":"not stored"`) || !strings.Contains(logged, `"msg":"revocation not stored"`) {
		t.Errorf("logged %s", logged)
	}

	got = s.do("DELETE", "/v1/revocations/"+stored.ID, "")
	if code, text := got.problem(); got.StatusCode != http.StatusInternalServerError || code != "server_error" || !strings.Contains(text, "still in force") {
		t.Errorf("%s %s", got.Status, got.text)
	}
	if logged := s.log.take(); !strings.Contains(logged, `"act":"take back","result":"not stored"`) || !strings.Contains(logged, `"msg":"revocation not taken back"`) {
		t.Errorf("logged %s", logged)
	}
}

// Pages go on where the last one ended, also when what it ended with was taken
// back, and new ones come at the end.
func TestRevocationPages(t *testing.T) {
	s := serve(t)
	revoke := func(subject string) string {
		var item revocationItem
		s.do("POST", "/v1/revocations", `{"issuer":"main","subject":"`+subject+`"}`).decode(&item)
		return item.ID
	}
	for i := range 5 {
		revoke(fmt.Sprint(i))
	}
	var seen []string
	after := ""
	for {
		var page list[revocationItem]
		s.do("GET", "/v1/revocations?limit=2&after="+after, "").decode(&page)
		for _, item := range page.Items {
			seen = append(seen, item.Subject)
		}
		if page.Next == nil {
			break
		}
		after = *page.Next
		if after != page.Items[1].ID {
			t.Errorf("next is %s behind %s", after, page.Items[1].ID)
		}
		s.do("DELETE", "/v1/revocations/"+after, "")
		if len(seen) == 2 {
			revoke("new")
		}
	}
	if got := strings.Join(seen, " "); got != "0 1 2 3 4 new" {
		t.Errorf("listed %s", got)
	}
}
