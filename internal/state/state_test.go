package state

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
)

// Only the owner can read or write what is kept.
func TestDirIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	d := open(t, dir)
	revoke(t, d, auth.Revocation{Issuer: "i"})
	if err := d.SaveKeys(auth.Snapshot{Issuer: "i", FetchedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	d = reopen(t, d, dir) // which rewrites nothing
	r := revoke(t, d, auth.Revocation{Issuer: "i"})
	if _, err := d.TakeBack(r.ID); err != nil {
		t.Fatal(err)
	}
	reopen(t, d, dir) // which does
	found := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		found++
		return err
	})
	if err != nil || found != 4 { // the directory, the lock, the revocations, the keys
		t.Errorf("%d found, %v", found, err)
	}
}

// Directories that are refused, each with one line that says what is wrong.
func TestDirRefused(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	shared := filepath.Join(base, "shared")
	taken := filepath.Join(base, "taken")
	occupied := filepath.Join(base, "occupied")
	writeFile(t, file, "")
	open(t, taken)
	if err := errors.Join(
		os.Mkdir(shared, 0o700), os.Chmod(shared, 0o777),
		os.Mkdir(occupied, 0o700), os.Mkdir(filepath.Join(occupied, journalName), 0o700),
	); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ dir, want string }{
		{file, "state_dir: " + file + ": not a directory"},
		{file + "/x", "state_dir: stat " + file + "/x: not a directory"},
		{base + "/a/b", "state_dir: mkdir " + base + "/a/b: no such file or directory"},
		{shared, "state_dir: " + shared + ": mode 0777 lets others change what is in it; chmod 700 it, or name a directory below it"},
		{taken, "state_dir: " + taken + ": another process uses it"},
		{occupied, "state_dir: open " + occupied + "/revocations: not a regular file"},
	} {
		if _, err := Open(tt.dir, slog.New(slog.DiscardHandler)); err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
	if left, err := os.ReadDir(shared); err != nil || len(left) > 0 {
		t.Errorf("left there: %v, %v", left, err)
	}
	open(t, filepath.Join(shared, "below"))
}

// A path from the working directory does as well.
func TestDirRelative(t *testing.T) {
	t.Chdir(t.TempDir())
	d := open(t, "state")
	r := revoke(t, d, auth.Revocation{Issuer: "i"})
	checkList(t, reopen(t, d, "state"), r)
}

// What a process left half written that was killed is gone.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "revocations.123"+temporary)
	writeFile(t, left, "half")
	open(t, dir)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}
