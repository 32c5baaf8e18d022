package state

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
)

// The format of the file is a promise to later versions.
func TestJournalFormat(t *testing.T) {
	const (
		first = `dd03d11b {"id":"0000000000000001","issuer":"https://a.test","subject":"alice","issued_before":"2026-03-01T12:00:00.5Z","until":"2999-03-02T12:00:00Z","reason":"lost","created_at":"2026-03-01T12:00:00Z","created_by":{"issuer":"https://a.test","subject":"ops"}}` + "\n"
		taken = `ea35776a {"id":"0000000000000002","issuer":"https://a.test","digest":"n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}` + "\n" +
			`990ee3c4 {"id":"0000000000000002","removed":true}` + "\n"
	)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, journalName), header+first+taken)
	checkList(t, open(t, dir), Record{
		ID: "0000000000000001",
		Revocation: auth.Revocation{
			Issuer: "https://a.test", Subject: "alice",
			IssuedBefore: time.Date(2026, 3, 1, 12, 0, 0, 5e8, time.UTC), Until: time.Date(2999, 3, 2, 12, 0, 0, 0, time.UTC),
		},
		Reason: "lost", CreatedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		CreatedBy: Actor{Issuer: "https://a.test", Subject: "ops"},
	})
	if got := read(t, dir); got != header+first {
		t.Errorf("rewritten on opening: %s", got)
	}
}

// Wherever the file ends, it opens with every revocation that is in it whole, and
// takes new ones. A record says when something was left out.
func TestJournalCut(t *testing.T) {
	doc := []byte(sealed(
		`{"id":"0000000000000001","issuer":"i","subject":"1"}`,
		`{"id":"0000000000000002","issuer":"i","subject":"2"}`,
		`{"id":"0000000000000001","removed":true}`,
		`{"id":"0000000000000003","issuer":"i","subject":"3"}`,
	))
	whole := []string{"", "1", "1 2", "2", "2 3"} // by the number of entries
	dir := t.TempDir()
	path := filepath.Join(dir, journalName)
	for size := len(header); size <= len(doc); size++ {
		if err := os.WriteFile(path, doc[:size], fileMode); err != nil {
			t.Fatal(err)
		}
		// One is whole also if its LF alone is missing.
		entries := bytes.Count(append(slices.Clone(doc[:size]), doc[size:min(size+1, len(doc))]...), []byte("\n")) - 1
		want := strings.Fields(whole[max(entries, 0)])

		var log strings.Builder
		d, err := Open(dir, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			checkSubjects(t, d, want...)
			boundary := size == len(doc) || doc[size-1] == '\n' || doc[size] == '\n'
			if logged := strings.Contains(log.String(), "not complete"); logged == boundary {
				t.Errorf("logged: %s", &log)
			}
			revoke(t, d, auth.Revocation{Issuer: "i", Subject: "new"})
			d = reopen(t, d, dir)
			checkSubjects(t, d, append(want, "new")...)
			d.Close()
		})
	}
}

// A byte that changed is noticed wherever it is, and nothing is in force then
// rather than something else.
func TestJournalFlipped(t *testing.T) {
	doc := []byte(sealed(
		`{"id":"0000000000000001","issuer":"i","subject":"1"}`,
		`{"id":"0000000000000001","removed":true}`,
		`{"id":"0000000000000002","issuer":"i","subject":"2"}`,
	))
	for i := range doc {
		for bit := range 8 {
			flipped := slices.Clone(doc)
			flipped[i] ^= 1 << bit
			line := bytes.Count(doc[:i], []byte("\n")) + 1
			_, err := parse(flipped)
			if bad, ok := errors.AsType[*badLine](err); !ok || bad.number != line {
				t.Errorf("byte %d, bit %d: %v, want line %d", i, bit, err, line)
			}
		}
	}
}

// What no stop of the machine explains is refused with file and line.
func TestJournalRefused(t *testing.T) {
	const first = `{"id":"0000000000000001","issuer":"i"}`
	tests := []struct {
		name string
		doc  string
		want string // behind the path
	}{
		{"nothing", "", `:1: want "linegate revocations 1"`},
		{"half of the header", header[:9], `:1: want "linegate revocations 1"`},
		{"another version", "linegate revocations 2\n", `:1: want "linegate revocations 1"`},
		{"an empty line", header + "\n", ":2: damaged, its checksum says"},
		{"zeros", header + strings.Repeat("\x00", 99) + "\n", ":2: damaged, its checksum says"},
		{"a line without a checksum", header + first + "\n", ":2: damaged, its checksum says"},
		{"a checksum in capitals", strings.Replace(sealed(first), "029bb77b", "029BB77B", 1), ":2: damaged, its checksum says"},
		{"damage before the end", sealed(first) + "00000000 {}\n" + sealed(`{"id":"0000000000000002","issuer":"i"}`)[len(header):], ":3: damaged, its checksum says"},
		{"another byte for the last LF", sealed(first)[:len(sealed(first))-1] + "\x00", ":2: damaged, another byte in place of its end"},
		{"no JSON", sealed("x"), ":2: no entry of this version"},
		{"something behind", sealed(first + "{}"), ":2: no entry of this version"},
		{"a field of a later version", sealed(`{"id":"0000000000000001","issuer":"i","scope":"x"}`), ":2: no entry of this version"},
		{"an id twice", sealed(first, first), ":3: its id is not above those before it"},
		{"an id of another kind", sealed(`{"id":"1","issuer":"i"}`), ":2: id: not one of this program's"},
		{"an id below 0", sealed(`{"id":"-000000000000001","issuer":"i"}`), ":2: id: not one of this program's"},
		{"no id", sealed(`{"issuer":"i"}`), ":2: id: not one of this program's"},
		{"no issuer", sealed(`{"id":"0000000000000001"}`), ":2: issuer: missing"},
		{"two targets", sealed(`{"id":"0000000000000001","issuer":"i","subject":"a","client_id":"b"}`), ":2: more than one target"},
		{"a short digest", sealed(`{"id":"0000000000000001","issuer":"i","digest":"AAAA"}`), ":2: digest: not a token's SHA-256"},
		{"a digest of zeros, which is no target", sealed(`{"id":"0000000000000001","issuer":"i","digest":"` + strings.Repeat("A", 43) + `="}`), ":2: digest: not a token's SHA-256"},
		{"taken back, never there", sealed(`{"id":"0000000000000001","removed":true}`), ":2: takes back what is not there"},
		{"taken back twice", sealed(first, `{"id":"0000000000000001","removed":true}`, `{"id":"0000000000000001","removed":true}`), ":4: takes back what is not there"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, journalName)
			writeFile(t, path, tt.doc)
			_, err := Open(dir, slog.New(slog.DiscardHandler))
			if want := "state_dir: " + path + tt.want; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if text := read(t, dir); text != tt.doc {
				t.Errorf("the file was changed to %q", text)
			}
			writeFile(t, path, header) // and nothing else is in the way
			open(t, dir)
		})
	}
}

// When Revoke returns, the disk has been asked to keep what it says.
func TestRevokeIsSynced(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	kept := ""
	d.journal.sync = func(f *os.File) error {
		kept = read(t, dir)
		return f.Sync()
	}
	r := revoke(t, d, auth.Revocation{Issuer: "i", Subject: "a"})
	if !strings.Contains(kept, r.ID) {
		t.Errorf("synced: %q", kept)
	}
	if _, err := d.TakeBack(r.ID); err != nil || !strings.HasSuffix(kept, string(r.removal())) {
		t.Errorf("synced: %q, %v", kept, err)
	}
}

// A disk that fails: what was revoked is in force, the caller is told that it is
// not stored, and with the next that is stored it is, too.
func TestDiskFails(t *testing.T) {
	failure := errors.New("input/output error")
	dir := filepath.Join(t.TempDir(), "state")
	away := dir + "-away"
	var fails int
	failing := func(f *os.File) error {
		if fails++; fails == 1 {
			return failure
		}
		return f.Sync()
	}
	tests := []struct {
		name       string
		do, undo   func(*Dir) error
		wantFailed int
	}{
		{"fsync", func(d *Dir) error { fails, d.journal.sync = 0, failing; return nil }, func(*Dir) error { return nil }, 1},
		{"the file itself", func(d *Dir) error { return d.journal.file.Close() }, func(*Dir) error { return nil }, 1},
		{
			"the file itself and the directory",
			func(d *Dir) error { return errors.Join(d.journal.file.Close(), os.Rename(dir, away)) },
			func(*Dir) error { return os.Rename(away, dir) }, 2,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer os.RemoveAll(dir)
			d := open(t, dir)
			old := revoke(t, d, auth.Revocation{Issuer: "i", Subject: "old"})
			if err := tt.do(d); err != nil {
				t.Fatal(err)
			}
			for i := range tt.wantFailed {
				subject := fmt.Sprint("new ", i)
				r, err := d.Revoke(Record{Revocation: auth.Revocation{Issuer: "i", Subject: subject}, CreatedBy: operator}, nil)
				if !errors.Is(err, ErrNotStored) || r.ID <= old.ID || strings.Contains(err.Error(), "\n") {
					t.Errorf("revoking: %+v, %v", r, err)
				}
				if !revoked(d, subject) {
					t.Error("not in force")
				}
			}
			if err := tt.undo(d); err != nil {
				t.Fatal(err)
			}
			want := []string{"old", "new 0", "new 1"}[:1+tt.wantFailed]
			checkSubjects(t, d, want...)
			revoke(t, d, auth.Revocation{Issuer: "i", Subject: "last"})
			d = reopen(t, d, dir)
			checkSubjects(t, d, append(want, "last")...)
			d.Close()
		})
	}
}

// That something was taken back counts when it is stored, not before.
func TestDiskFailsTakingBack(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	r := revoke(t, d, auth.Revocation{Issuer: "i", Subject: "a"})
	d.journal.sync = func(*os.File) error { return errors.New("input/output error") }
	_, err := d.TakeBack(r.ID)
	if want := "still in force, since that it was taken back could not be stored: input/output error"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if errors.Is(err, ErrNotFound) || !revoked(d, "a") {
		t.Error("not in force")
	}
	checkSubjects(t, d, "a")
	if _, err := d.TakeBack(r.ID); err != nil { // by a new file
		t.Fatal(err)
	}
	checkSubjects(t, reopen(t, d, dir))
}

// The file is rewritten when more than half of it is dead, and stays as it was
// if that fails.
func TestCompaction(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	d := open(t, dir)
	var log strings.Builder
	d.log = slog.New(slog.NewTextHandler(&log, nil))
	kept := revoke(t, d, auth.Revocation{Issuer: "i", Subject: "kept"})
	churn := func(n int) {
		t.Helper()
		for range n / 2 {
			if _, err := d.TakeBack(revoke(t, d, auth.Revocation{Issuer: "i", Subject: "x"}).ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	lines := func() int { return strings.Count(read(t, dir), "\n") - 1 }

	churn(fewEntries - 2)
	if got := lines(); got != fewEntries-1 {
		t.Errorf("%d entries before", got)
	}
	churn(2)
	if got := lines(); got > 3 {
		t.Errorf("%d entries after", got)
	}

	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	churn(fewEntries + 10) // the open file takes them all the same
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(log.String(), "could not be made shorter"); got != 1 || lines() < fewEntries {
		t.Errorf("%d entries, log: %s", lines(), &log)
	}
	churn(2 * fewEntries)
	if got := lines(); got > fewEntries {
		t.Errorf("%d entries when it works again", got)
	}
	d = reopen(t, d, dir)
	checkList(t, d, kept)
	if got := lines(); got != 1 {
		t.Errorf("%d entries after opening", got)
	}
}

// sealed is a journal with these entries, and good checksums.
func sealed(entries ...string) string {
	doc := header
	for _, text := range entries {
		doc += string(seal([]byte(text)))
	}
	return doc
}

// checkSubjects fails unless these and no others are revoked.
func checkSubjects(t testing.TB, d *Dir, want ...string) {
	t.Helper()
	var got []string
	page, _ := d.List("", 1000)
	for _, r := range page {
		got = append(got, r.Subject)
		if r.Subject != "" && !revoked(d, r.Subject) {
			t.Errorf("%s is listed, and not in force", r.Subject)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func revoked(d *Dir, subject string) bool {
	return d.Revocations().Revoked(&auth.Identity{Grant: &auth.Grant{Issuer: "i"}, Subject: subject}, time.Now())
}
