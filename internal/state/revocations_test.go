package state

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
)

var operator = Actor{Issuer: "https://login.test", Subject: "ops"}

// Everything works the same with a directory and without one; a directory also
// remembers.
func TestRevoke(t *testing.T) {
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "state")} {
		t.Run(fmt.Sprintf("dir %t", dir != ""), func(t *testing.T) {
			d := open(t, dir)
			before := time.Now()
			alice := &auth.Identity{Grant: &auth.Grant{Issuer: "https://a.test"}, Subject: "alice", IssuedAt: before.Add(-time.Minute)}

			inForce := 0
			first, err := d.Revoke(Record{
				Revocation: auth.Revocation{Issuer: "https://a.test", Subject: "alice", IssuedBefore: before},
				Reason:     "laptop lost", CreatedBy: operator,
			}, func() {
				inForce++
				if !d.Revocations().Revoked(alice, time.Now()) {
					t.Error("told that it is in force, and it is not")
				}
			})
			if err != nil || inForce != 1 || !d.Revocations().Revoked(alice, time.Now()) {
				t.Fatalf("%v; told %d times", err, inForce)
			}
			if first.Reason != "laptop lost" || first.CreatedBy != operator || first.CreatedAt.Before(before.Add(-time.Second)) || first.Subject != "alice" {
				t.Errorf("record: %+v", first)
			}
			second := revoke(t, d, auth.Revocation{Issuer: "https://a.test", Subject: "alice"})
			if second.ID <= first.ID {
				t.Errorf("id %q after %q", second.ID, first.ID)
			}
			checkList(t, d, first, second)

			d = reopen(t, d, dir)
			if dir == "" {
				checkList(t, d)
				return
			}
			checkList(t, d, first, second)
			for i, r := range []Record{first, second} {
				if !d.Revocations().Revoked(alice, time.Now()) {
					t.Errorf("not revoked, though only %d were taken back", i)
				}
				taken, err := d.TakeBack(r.ID)
				if err != nil || !equal(taken, r) {
					t.Errorf("took back %+v, %v", taken, err)
				}
				if _, err := d.TakeBack(r.ID); !errors.Is(err, ErrNotFound) {
					t.Errorf("taken back twice: %v", err)
				}
			}
			for range 2 {
				if d.Revocations().Revoked(alice, time.Now()) {
					t.Error("still revoked")
				}
				checkList(t, d)
				d = reopen(t, d, dir)
			}
		})
	}
}

// Every field of every kind is read as it was written.
func TestRecordsAreKept(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	const odd = "a\"b\\c\n\x00<&>\u2028 ü😀"
	var want []Record
	for _, r := range []auth.Revocation{
		{Issuer: "https://a.test"},
		{Issuer: "https://a.test", IssuedBefore: at},
		{Issuer: "https://a.test", Subject: odd, IssuedBefore: at, Until: at.Add(time.Hour).AddDate(7000, 0, 0)},
		{Issuer: "https://a.test", ClientID: strings.Repeat("x", 256)},
		{Issuer: odd, TokenID: odd},
		{Issuer: "https://a.test", Key: odd},
		{Issuer: "https://a.test", Digest: sha256.Sum256([]byte("x"))},
	} {
		kept, err := d.Revoke(Record{Revocation: r, Session: odd, Reason: odd, CreatedBy: Actor{Issuer: odd, Subject: odd}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !kept.IssuedBefore.Equal(r.IssuedBefore) || !kept.Until.Equal(r.Until) {
			t.Errorf("%+v became %+v", r, kept)
		}
		want = append(want, kept)
	}
	for range 2 { // as it was added, and as it was rewritten
		d = reopen(t, d, dir)
		checkList(t, d, want...)
		taken, err := d.TakeBack(want[0].ID)
		if err != nil || !equal(taken, want[0]) {
			t.Errorf("took back %+v, %v", taken, err)
		}
		want = want[1:]
	}
}

func TestRevokeRefuses(t *testing.T) {
	d := open(t, t.TempDir())
	for _, tt := range []struct {
		revocation auth.Revocation
		reason     string
		want       string
	}{
		{auth.Revocation{Subject: "a"}, "", "issuer: missing"},
		{auth.Revocation{Issuer: "i"}, strings.Repeat("x", 257), "reason: longer than 256 bytes"},
		{auth.Revocation{Issuer: "i"}, "\xff", "reason: not UTF-8"},
		{auth.Revocation{Issuer: "i", IssuedBefore: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "", "issued_before: not in the years 0 to 9999"},
		{auth.Revocation{Issuer: "i", Until: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}, "", "expires_at: not in the years 0 to 9999"},
	} {
		_, err := d.Revoke(Record{Revocation: tt.revocation, Reason: tt.reason, CreatedBy: operator}, func() { t.Error("in force") })
		if err == nil || err.Error() != tt.want || errors.Is(err, ErrNotStored) {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
	checkList(t, d)
}

// A token may expire in a year that no RFC 3339 time has; its revocation is kept
// for good.
func TestRevokeForAges(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	r := revoke(t, d, auth.Revocation{Issuer: "i", TokenID: "t", Until: time.Unix(1<<53, 0)})
	if !r.Until.IsZero() {
		t.Errorf("until %v", r.Until)
	}
	checkList(t, reopen(t, d, dir), r)
}

// Pages follow each other without a gap or a repetition, also when what the last
// one ended with was taken back meanwhile.
func TestListPages(t *testing.T) {
	d := open(t, "")
	var all []Record
	for i := range 5 {
		all = append(all, revoke(t, d, auth.Revocation{Issuer: "i", Subject: fmt.Sprint(i)}))
	}
	for _, tt := range []struct {
		after string
		limit int
		want  []Record
		more  bool
	}{
		{"", 2, all[:2], true},
		{all[1].ID, 2, all[2:4], true},
		{all[3].ID, 2, all[4:], false},
		{all[4].ID, 2, nil, false},
		{"", 5, all, false},
		{"", 4, all[:4], true},
		{"zzz", 5, nil, false},
	} {
		page, more := d.List(tt.after, tt.limit)
		if !slices.EqualFunc(page, tt.want, equal) || more != tt.more {
			t.Errorf("%d after %q: got %v, %t", tt.limit, tt.after, page, more)
		}
	}
	if _, err := d.TakeBack(all[1].ID); err != nil {
		t.Fatal(err)
	}
	if page, _ := d.List(all[1].ID, 1); !slices.EqualFunc(page, all[2:3], equal) {
		t.Errorf("after what was taken back: %v", page)
	}
}

// What is over is not listed, cannot be taken back, and is in force again when it
// was the clock that was wrong; a day later it is forgotten.
func TestRevocationsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		d := open(t, dir)
		id := &auth.Identity{Grant: &auth.Grant{Issuer: "i"}, TokenID: "t"}
		r := revoke(t, d, auth.Revocation{Issuer: "i", TokenID: "t", Until: time.Now().Add(time.Hour)})
		kept := revoke(t, d, auth.Revocation{Issuer: "i", Subject: "s"})
		now := time.Now()
		checkList(t, d, r, kept)

		time.Sleep(time.Hour)
		for range 2 {
			checkList(t, d, kept)
			if _, err := d.TakeBack(r.ID); !errors.Is(err, ErrNotFound) {
				t.Errorf("took back what is over: %v", err)
			}
			if d.Revocations().Revoked(id, time.Now()) || !d.Revocations().Revoked(id, now) {
				t.Error("not as long in force as it is to be")
			}
			d = reopen(t, d, dir)
		}
		time.Sleep(24*time.Hour - time.Nanosecond)
		d = reopen(t, d, dir)
		if !d.Revocations().Revoked(id, now) {
			t.Error("forgotten too soon")
		}
		time.Sleep(time.Nanosecond)
		d = reopen(t, d, dir)
		if d.Revocations().Revoked(id, now) {
			t.Error("not forgotten")
		}
		checkList(t, d, kept)
		if text := read(t, dir); strings.Contains(text, r.ID) || !strings.Contains(text, kept.ID) {
			t.Errorf("the file: %s", text)
		}
	})
}

// A process that is never restarted forgets too, and its file does not grow with
// what is over or taken back.
func TestRevocationsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		d := open(t, dir)
		d.journal.sync = func(*os.File) error { return nil } // the disk need not take part
		longest := 0
		for i := range 2500 {
			r := revoke(t, d, auth.Revocation{Issuer: "i", TokenID: fmt.Sprint(i), Until: time.Now().Add(time.Second)})
			if i%2 == 0 {
				if _, err := d.TakeBack(r.ID); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(2 * time.Minute)
			if i%50 == 0 {
				longest = max(longest, strings.Count(read(t, dir), "\n"))
			}
		}
		// In a day there are 720, half of which are taken back at once. Those
		// that are over are looked for when there are a thousand.
		if longest > 2*1000+2 {
			t.Errorf("the file had up to %d lines", longest)
		}
	})
}

// A clock that goes back makes no id come again, whether or not its revocation is
// still there.
func TestIDsAscend(t *testing.T) {
	dir := t.TempDir()
	ahead := filepath.Join(dir, "revocations")
	writeFile(t, ahead, sealed(`{"id":"7000000000000001","issuer":"i"}`, `{"id":"7000000000000002","issuer":"i"}`, `{"id":"7000000000000002","removed":true}`))
	d := open(t, dir)
	if r := revoke(t, d, auth.Revocation{Issuer: "i"}); r.ID != "7000000000000003" {
		t.Errorf("id %s", r.ID)
	}
	if page, _ := reopen(t, d, dir).List("", 9); len(page) != 2 {
		t.Errorf("%v", page)
	}
}

func open(t testing.TB, dir string) *Dir {
	t.Helper()
	d, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func reopen(t testing.TB, d *Dir, dir string) *Dir {
	t.Helper()
	d.Close()
	return open(t, dir)
}

func revoke(t testing.TB, d *Dir, r auth.Revocation) Record {
	t.Helper()
	kept, err := d.Revoke(Record{Revocation: r, CreatedBy: operator}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func checkList(t testing.TB, d *Dir, want ...Record) {
	t.Helper()
	got, _ := d.List("", 1000)
	if !slices.EqualFunc(got, want, equal) {
		t.Errorf("listed %+v\nwant %+v", got, want)
	}
}

func equal(a, b Record) bool { return reflect.DeepEqual(a, b) }

func read(t testing.TB, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "revocations"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
