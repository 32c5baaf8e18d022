package state

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/logtest"
)

// TestStoredLater: what the disk did not take is stored soon after it can be, or
// at the stop, though nobody revokes anything more.
func TestStoredLater(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(*Dir) // when the disk is good again
		want string     // logged at last
	}{
		{"soon", func(*Dir) { time.Sleep(storeAgain) }, "revocations stored after all"},
		{"at the stop", (*Dir).Close, "revocations stored after all"},
		{"with a later one", func(d *Dir) {
			revoke(t, d, auth.Revocation{Issuer: "i", Subject: "b"})
			time.Sleep(storeAgain)
		}, "revocations still not stored"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, log := filepath.Join(t.TempDir(), "state"), new(logtest.Log)
				d, err := Open(dir, slog.New(slog.NewTextHandler(log, nil)))
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				repair := breakDisk(t, d)
				_, err = d.Revoke(Record{Revocation: auth.Revocation{Issuer: "i", Subject: "a"}, CreatedBy: operator}, nil)
				if !errors.Is(err, ErrNotStored) {
					t.Fatal(err)
				}
				time.Sleep(2*storeAgain + time.Second)
				synctest.Wait()
				if n := strings.Count(log.String(), `level=ERROR msg="revocations still not stored" entries=1 `); n != 2 {
					t.Errorf("tried %d times, want 2:\n%s", n, log)
				}
				if n := d.Unstored(); n != 1 {
					t.Errorf("%d are not stored, want 1", n)
				}
				repair()
				tt.then(d)
				synctest.Wait()
				if n := d.Unstored(); n != 0 {
					t.Errorf("%d are not stored, want none", n)
				}
				if lines := strings.Split(strings.TrimSpace(log.String()), "\n"); !strings.Contains(lines[len(lines)-1], tt.want) {
					t.Errorf("logged last %s, want %s", lines[len(lines)-1], tt.want)
				}
				stored, err := parse([]byte(read(t, dir)))
				if err != nil || !slices.ContainsFunc(stored.records, func(r *Record) bool { return r.Subject == "a" }) {
					t.Errorf("on the disk: %+v, %v", stored.records, err)
				}
				d.Close()
			})
		})
	}
}

// TestNotStoredAtTheStop: the last attempt is on the record, and the end.
func TestNotStoredAtTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, log := filepath.Join(t.TempDir(), "state"), new(logtest.Log)
		d, err := Open(dir, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		breakDisk(t, d)
		for _, subject := range []string{"a", "b"} {
			d.Revoke(Record{Revocation: auth.Revocation{Issuer: "i", Subject: subject}, CreatedBy: operator}, nil)
		}
		d.Close()
		d.Revoke(Record{Revocation: auth.Revocation{Issuer: "i", Subject: "c"}, CreatedBy: operator}, nil)
		time.Sleep(10 * storeAgain)
		d.Close()
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "still not stored\" entries=2 ") {
			t.Errorf("logged\n%s", log)
		}
	})
}

// breakDisk lets nothing be written until repair.
func breakDisk(t *testing.T, d *Dir) (repair func()) {
	t.Helper()
	away := d.path + ".away"
	if err := errors.Join(d.journal.file.Close(), os.Rename(d.path, away)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Rename(away, d.path); err != nil {
			t.Fatal(err)
		}
	}
}
