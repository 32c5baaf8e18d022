package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// What is told of a session, and nothing else.
func TestSessionItem(t *testing.T) {
	s := serve(t)
	s.sessions.add("A", auth.Identity{
		Grant: &auth.Grant{
			IssuerName: "main", Issuer: "https://login.example.com", ClientID: "sensors",
			Scopes: []string{"line:connect", "other"}, KeyID: "k-1", Thumbprint: "thumb",
		},
		Subject: "device \"1\"", TokenID: "t-1",
	})
	s.sessions.add("B", auth.Identity{Grant: &auth.Grant{IssuerName: "other", Thumbprint: "thumb"}, Subject: "b"})
	want := `{"items":[` +
		`{"session":"A","issuer":"main","subject":"device \"1\"","client_id":"sensors","scopes":["line:connect","other"],` +
		`"key_id":"k-1","token_id":"t-1","remote":"192.0.2.1:5000","opened_at":"2026-01-02T02:04:05Z","expires_at":"2026-01-02T03:04:05Z"},` +
		`{"session":"B","issuer":"other","subject":"b","client_id":"","scopes":[],` +
		`"key_id":"thumb","token_id":"","remote":"192.0.2.1:5000","opened_at":"2026-01-02T02:04:05Z","expires_at":"2026-01-02T03:04:05Z"}` +
		`],"next":null}` + "\n"
	if got := s.do("GET", "/v1/sessions", ""); got.text != want || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got  %s\nwant %s", got.text, want)
	}
}

// Filters compare exactly, and all must hold.
func TestSessionFilters(t *testing.T) {
	s := serve(t)
	for id, identity := range map[string]auth.Identity{
		"1": {Grant: &auth.Grant{IssuerName: "main", Issuer: "https://main.test", ClientID: "x", KeyID: "k", Thumbprint: "p"}, Subject: "a", TokenID: "t1"},
		"2": {Grant: &auth.Grant{IssuerName: "main", ClientID: "x", KeyID: "k", Thumbprint: "p"}, Subject: "b", TokenID: "t2"},
		"3": {Grant: &auth.Grant{IssuerName: "other", Thumbprint: "q"}, Subject: "a"},
	} {
		s.sessions.add(id, identity)
	}
	for filter, want := range map[string]string{
		"":                         "1 2 3",
		"issuer=main":              "1 2",
		"issuer=Main":              "",
		"issuer=https://main.test": "1",
		"subject=a":                "1 3",
		"subject=a&issuer=main":    "1",
		"subject=a%20":             "",
		"client_id=x":              "1 2",
		"client_id=":               "3", // those without
		"key_id=k":                 "1 2",
		"key_id=p":                 "1 2", // the thumbprint of the same key
		"key_id=q":                 "3",
		"token_id=t2":              "2",
		"token_id=t2&client_id=x":  "2",
		"token_id=t2&client_id=xx": "",
		"after=1":                  "2 3",
		"after=1&limit=1":          "2",
		"after=2x":                 "3",
		"after=3":                  "",
	} {
		if got, _ := s.list("?" + filter); strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", filter, got, want)
		}
	}
}

// list returns the ids on one page, and next.
func (s *served) list(query string) (ids []string, next *string) {
	s.t.Helper()
	var page list[sessionItem]
	got := s.do("GET", "/v1/sessions"+query, "")
	if got.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s", query, got.text)
	}
	got.decode(&page)
	for _, item := range page.Items {
		ids = append(ids, item.Session)
	}
	return ids, page.Next
}

// Whoever is there from the first page to the last is listed once, whoever
// comes and goes meanwhile.
func TestSessionPages(t *testing.T) {
	s := serve(t)
	stay := map[string]int{}
	for i := range 250 {
		id := fmt.Sprintf("S%03d", (i*7)%250) // not in order
		s.sessions.add(id, auth.Identity{Grant: new(auth.Grant), Subject: "a"})
		if i%5 != 0 {
			stay[id] = 0
		} else {
			s.sessions.add("gone-"+id, auth.Identity{Grant: new(auth.Grant), Subject: "b"})
		}
	}
	query, pages := "?subject=a&limit=25", 0
	for next := (*string)(nil); ; pages++ {
		address := query
		if next != nil {
			address += "&after=" + url.QueryEscape(*next)
		}
		ids, following := s.list(address)
		if len(ids) > 25 || !slices.IsSorted(ids) {
			t.Errorf("page %d: %v", pages, ids)
		}
		for _, id := range ids {
			if _, ok := stay[id]; ok {
				stay[id]++
			}
		}
		if next = following; next == nil {
			break
		}
		s.sessions.remove(*next) // also the one that the next page begins after
		delete(stay, *next)
		s.sessions.add(fmt.Sprintf("S%03d-new", pages), auth.Identity{Grant: new(auth.Grant), Subject: "a"})
	}
	if pages < 9 {
		t.Errorf("%d pages", pages)
	}
	for id, n := range stay {
		if n != 1 {
			t.Errorf("%s was listed %d times", id, n)
		}
	}
}

// Ending a session says so to its client, and leaves a record of who did it.
func TestEndSession(t *testing.T) {
	s := serve(t)
	ended := s.sessions.add("A", auth.Identity{Grant: &auth.Grant{IssuerName: "main"}, Subject: "dev\nice"})
	other := s.sessions.add("B", auth.Identity{Grant: new(auth.Grant)})
	if got := s.do("DELETE", "/v1/sessions/A", ""); got.StatusCode != http.StatusNoContent || got.text != "" {
		t.Errorf("%s %s", got.Status, got.text)
	}
	if !slices.Equal(ended.ended, []wire.Code{wire.TokenRevoked}) || len(other.ended) > 0 {
		t.Errorf("ended for %v, and another for %v", ended.ended, other.ended)
	}
	s.expectAudit(`"act":"end session","result":"done","target":{"session":"A","issuer":"main","subject":"dev%0Aice"}`)
	if got := s.do("DELETE", "/v1/sessions/C%2F..%2FA", ""); got.StatusCode != http.StatusNotFound {
		t.Errorf("%s %s", got.Status, got.text)
	}
	s.expectAudit(`"act":"end session","result":"not found","target":{"session":"C/../A"}`)
}

// expectAudit wants one record in the log since the last look, that has all of
// this, and who it was.
func (s *served) expectAudit(act string, more ...string) {
	s.t.Helper()
	got := s.log.Take()
	wants := append(more, `"level":"ERROR+4","msg":"admin act",`+act,
		`},"issuer":"test","subject":"alice","client_id":"device-client","remote":"127.0.0.1:`)
	for _, want := range wants {
		if strings.Count(got, "\n") != 1 || !strings.Contains(got, want) {
			s.t.Errorf("logged %s\nwant   %s", got, want)
		}
	}
}
