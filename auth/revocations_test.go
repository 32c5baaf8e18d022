package auth_test

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
)

// What each revocation matches: one token, issued at 12:00:00 and looked at five
// minutes later.
func TestRevoked(t *testing.T) {
	issued := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := issued.Add(5 * time.Minute)
	id := auth.Identity{
		Grant:   &auth.Grant{Issuer: "https://a.test", ClientID: "sensor", KeyID: "k-1", Thumbprint: "thumb"},
		Subject: "alice", TokenID: "t-1", IssuedAt: issued, Digest: sha256.Sum256([]byte("token")),
	}
	bare := auth.Identity{Grant: &auth.Grant{Issuer: id.Issuer, Thumbprint: "thumb"}, Subject: "alice"} // has nothing that a token can lack
	type revocation = auth.Revocation
	tests := []struct {
		name string
		revocation
		of      auth.Identity
		revoked bool
	}{
		{"subject", revocation{Subject: "alice"}, id, true},
		{"subject of another issuer", revocation{Issuer: "https://b.test", Subject: "alice"}, id, false},
		{"other subject", revocation{Subject: "alic"}, id, false},
		{"subject in capitals", revocation{Subject: "Alice"}, id, false},
		{"client", revocation{ClientID: "sensor"}, id, true},
		{"client of another issuer", revocation{Issuer: "https://b.test", ClientID: "sensor"}, id, false},
		{"other client", revocation{ClientID: "alice"}, id, false},
		{"token id", revocation{TokenID: "t-1"}, id, true},
		{"token id of another issuer", revocation{Issuer: "https://b.test", TokenID: "t-1"}, id, false},
		{"other token id", revocation{TokenID: "t-2"}, id, false},
		{"key by its id", revocation{Key: "k-1"}, id, true},
		{"key by its thumbprint", revocation{Key: "thumb"}, id, true},
		{"key of another issuer", revocation{Issuer: "https://b.test", Key: "k-1"}, id, false},
		{"other key", revocation{Key: "k-2"}, id, false},
		{"digest", revocation{Digest: sha256.Sum256([]byte("token"))}, id, true},
		{"digest under another issuer", revocation{Issuer: "https://b.test", Digest: sha256.Sum256([]byte("token"))}, id, false},
		{"other digest", revocation{Digest: sha256.Sum256([]byte("other"))}, id, false},
		{"issuer", revocation{}, id, true},
		{"other issuer", revocation{Issuer: "https://b.test"}, id, false},
		{"issuer with a slash more", revocation{Issuer: "https://a.test/"}, id, false},

		{"subject, all issued", revocation{Subject: "alice"}, bare, true},
		{"client of a token without one", revocation{ClientID: "sensor"}, bare, false},
		{"token id of a token without one", revocation{TokenID: "t-1"}, bare, false},
		{"id of a key without one", revocation{Key: "k-1"}, bare, false},
		{"thumbprint of a key without id", revocation{Key: "thumb"}, bare, true},

		{"subject, issued the second before", revocation{Subject: "alice", IssuedBefore: issued.Add(time.Second)}, id, true},
		{"subject, issued the instant before", revocation{Subject: "alice", IssuedBefore: issued.Add(1)}, id, true},
		{"subject, issued just then", revocation{Subject: "alice", IssuedBefore: issued}, id, false},
		{"subject, issued after", revocation{Subject: "alice", IssuedBefore: issued.Add(-1)}, id, false},
		{"subject, before a time to come", revocation{Subject: "alice", IssuedBefore: now.Add(time.Hour)}, id, true},
		{"subject, in another zone", revocation{Subject: "alice", IssuedBefore: issued.In(time.FixedZone("", 3600))}, id, false},
		{"client, issued before", revocation{ClientID: "sensor", IssuedBefore: issued.Add(1)}, id, true},
		{"client, issued just then", revocation{ClientID: "sensor", IssuedBefore: issued}, id, false},
		{"issuer, issued before", revocation{IssuedBefore: issued.Add(1)}, id, true},
		{"issuer, issued just then", revocation{IssuedBefore: issued}, id, false},
		{"subject, no iat", revocation{Subject: "alice", IssuedBefore: time.Unix(1, 0)}, bare, true},
		{"issuer, no iat", revocation{IssuedBefore: time.Unix(0, 0)}, bare, true},

		{"still in force", revocation{TokenID: "t-1", Until: now.Add(time.Second)}, id, true},
		{"over", revocation{TokenID: "t-1", Until: now}, id, false},
		{"long over", revocation{TokenID: "t-1", Until: issued}, id, false},
		{"issued before, and over", revocation{Subject: "alice", IssuedBefore: now, Until: now}, id, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.Issuer == "" {
				tt.Issuer = "https://a.test"
			}
			var rs auth.Revocations
			add(t, &rs, tt.revocation)
			if got := rs.Revoked(&tt.of, now); got != tt.revoked {
				t.Errorf("revoked: %t, want %t", got, tt.revoked)
			}
			rs.Remove(tt.revocation)
			if rs.Revoked(&tt.of, now) {
				t.Error("revoked after it was taken back")
			}
		})
	}
	if (*auth.Revocations)(nil).Revoked(&id, now) {
		t.Error("revoked by none")
	}
}

// Revocations of one target stand side by side.
func TestRevokedTwice(t *testing.T) {
	now := time.Now()
	id := &auth.Identity{Grant: &auth.Grant{Issuer: "https://a.test"}, Subject: "alice", IssuedAt: now}
	early := auth.Revocation{Issuer: "https://a.test", Subject: "alice", IssuedBefore: now.Add(-time.Hour)}
	late := auth.Revocation{Issuer: "https://a.test", Subject: "alice", IssuedBefore: now.Add(time.Hour)}
	var rs auth.Revocations
	for _, step := range []struct {
		name    string
		do      func()
		revoked bool
	}{
		{"early", func() { add(t, &rs, early) }, false},
		{"early and late", func() { add(t, &rs, late) }, true},
		{"late alone", func() { rs.Remove(early) }, true},
		{"late twice", func() { add(t, &rs, late) }, true},
		{"late once again", func() { rs.Remove(late) }, true},
		{"none", func() { rs.Remove(late) }, false},
		{"less than none", func() { rs.Remove(late) }, false},
		{"late after all", func() { add(t, &rs, late) }, true},
	} {
		step.do()
		if got := rs.Revoked(id, now); got != step.revoked {
			t.Errorf("%s: revoked: %t, want %t", step.name, got, step.revoked)
		}
	}
}

// What is over is forgotten, and nothing else is: a clock that goes back tells.
func TestForget(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var rs auth.Revocations
	for subject, until := range map[string]time.Time{
		"over": now.Add(-time.Second), "just over": now, "not over": now.Add(time.Second), "for good": {},
	} {
		add(t, &rs, auth.Revocation{Issuer: "https://a.test", Subject: subject, Until: until})
	}
	add(t, &rs, auth.Revocation{Issuer: "https://a.test", Subject: "just over", Until: now.Add(time.Minute)})
	rs.Forget(now)
	for subject, revoked := range map[string]bool{"over": false, "just over": true, "not over": true, "for good": true} {
		id := &auth.Identity{Grant: &auth.Grant{Issuer: "https://a.test"}, Subject: subject}
		if got := rs.Revoked(id, now.Add(-time.Hour)); got != revoked {
			t.Errorf("%s: revoked an hour ago: %t, want %t", subject, got, revoked)
		}
	}
}

func TestRevocationCheck(t *testing.T) {
	long := strings.Repeat("x", 257)
	tests := []struct {
		revocation auth.Revocation
		want       string
	}{
		{auth.Revocation{}, "issuer: missing"},
		{auth.Revocation{Subject: "a"}, "issuer: missing"},
		{auth.Revocation{Issuer: long}, "issuer: longer than 256 bytes"},
		{auth.Revocation{Issuer: "i", Subject: long}, "subject: longer than 256 bytes"},
		{auth.Revocation{Issuer: "i", ClientID: long}, "client_id: longer than 256 bytes"},
		{auth.Revocation{Issuer: "i", TokenID: "\xff"}, "token_id: not UTF-8"},
		{auth.Revocation{Issuer: "i", Key: long}, "key_id: longer than 256 bytes"},
		{auth.Revocation{Issuer: "i", Subject: "a", ClientID: "b"}, "more than one target"},
		{auth.Revocation{Issuer: "i", Key: "a", Digest: sha256.Sum256(nil)}, "more than one target"},
		{auth.Revocation{Issuer: "i", TokenID: "a", IssuedBefore: time.Unix(1, 0)}, "issued_before: only for a subject, a client or an issuer"},
		{auth.Revocation{Issuer: "i", Key: "a", IssuedBefore: time.Unix(1, 0)}, "issued_before: only for a subject, a client or an issuer"},
		{auth.Revocation{Issuer: "i", Digest: sha256.Sum256(nil), IssuedBefore: time.Unix(1, 0)}, "issued_before: only for a subject, a client or an issuer"},
	}
	for _, tt := range tests {
		var rs auth.Revocations
		if err := rs.Add(tt.revocation); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// Looking up, adding and removing at once, for the race detector; what nobody
// removes is found all the time.
func TestRevokedConcurrently(t *testing.T) {
	var rs auth.Revocations
	add(t, &rs, auth.Revocation{Issuer: "i", Subject: "kept"})
	kept := &auth.Identity{Grant: &auth.Grant{Issuer: "i"}, Subject: "kept"}
	now := time.Now()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			r := auth.Revocation{Issuer: "i", Subject: fmt.Sprint(i)}
			for range 500 {
				add(t, &rs, r)
				rs.Forget(now)
				if !rs.Revoked(kept, now) {
					t.Error("not found")
				}
				rs.Remove(r)
			}
		})
	}
	all.Wait()
}

// A look-up allocates nothing, with an entry of each kind to look for.
func TestRevokedAllocatesNothing(t *testing.T) {
	var rs auth.Revocations
	for _, kind := range []string{"subject", "client", "token", "key", "digest"} {
		add(t, &rs, numbered(kind, 1))
	}
	id := &auth.Identity{
		Grant:   &auth.Grant{Issuer: "https://login.example.com", ClientID: "b", KeyID: "d", Thumbprint: "e"},
		Subject: "a", TokenID: "c",
	}
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() { rs.Revoked(id, now) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRevoked is what a login costs more with 100,000 revocations of each
// kind in force, and with none.
func BenchmarkRevoked(b *testing.B) {
	now := time.Now()
	id := &auth.Identity{
		Grant: &auth.Grant{
			Issuer: "https://login.example.com", ClientID: "sensor",
			KeyID: "k-1", Thumbprint: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
		},
		Subject: "device-1", TokenID: "t-1", IssuedAt: now,
	}
	for _, kinds := range []string{"", "token", "subject client token key digest"} {
		b.Run(strings.ReplaceAll("of "+kinds, " ", "_"), func(b *testing.B) {
			var rs auth.Revocations
			before := heap()
			n := 0
			for _, kind := range strings.Fields(kinds) {
				for i := range 100_000 {
					add(b, &rs, numbered(kind, i))
					n++
				}
			}
			used := heap() - before
			b.ReportAllocs()
			for b.Loop() {
				if rs.Revoked(id, now) {
					b.Fatal("revoked")
				}
			}
			if n > 0 {
				b.ReportMetric(float64(used)/float64(n), "B/entry")
			}
		})
	}
}

func numbered(kind string, i int) auth.Revocation {
	r := auth.Revocation{Issuer: "https://login.example.com", Until: time.Now().Add(time.Hour)}
	name := fmt.Sprintf("%s-%030d", kind, i)
	switch kind {
	case "subject":
		r.Subject = name
	case "client":
		r.ClientID = name
	case "token":
		r.TokenID = name
	case "key":
		r.Key = name
	case "digest":
		r.Digest = sha256.Sum256([]byte(name))
	}
	return r
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func add(t testing.TB, rs *auth.Revocations, r auth.Revocation) {
	t.Helper()
	if err := rs.Add(r); err != nil {
		t.Error(err)
	}
}
