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
	s.log.Take()
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
	s.log.Take()
	s.state.Close() // nothing can be written any more

	got := s.do("POST", "/v1/revocations", `{"issuer":"main","subject":"a"}`)
	code, text := got.problem()
	if got.StatusCode != http.StatusInternalServerError || code != "server_error" || !strings.Contains(text, "is in force, but could not be stored") {
		t.Errorf("%s %s", got.Status, got.text)
	}
	if len(crew["A"].ended) != 1 {
		t.Error("the session goes on")
	}
	if logged := s.log.Take(); !strings.Contains(logged, `"act":"revoke","result":"not stored"`) || !strings.Contains(logged, `"msg":"revocation not stored"`) {
		t.Errorf("logged %s", logged)
	}

	got = s.do("DELETE", "/v1/revocations/"+stored.ID, "")
	if code, text := got.problem(); got.StatusCode != http.StatusInternalServerError || code != "server_error" || !strings.Contains(text, "still in force") {
		t.Errorf("%s %s", got.Status, got.text)
	}
	if logged := s.log.Take(); !strings.Contains(logged, `"act":"take back","result":"not stored"`) || !strings.Contains(logged, `"msg":"revocation not taken back"`) {
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
