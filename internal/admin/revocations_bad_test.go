package admin

import (
	"net/http"
	"strings"
	"testing"
)

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
	got := s.log.Take()
	_, record, _ := strings.Cut(got, `"msg":"admin act",`)
	const want = `"act":"revoke","result":"refused","issuer":"test","subject":"alice","client_id":"device-client","remote":"127.0.0.1:`
	if rest, found := strings.CutPrefix(record, want); !found || strings.ContainsAny(rest, ",:") || strings.Count(got, "\n") != 1 {
		s.t.Errorf("logged %s", got)
	}
}
