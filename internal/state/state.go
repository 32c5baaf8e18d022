// Package state keeps what must outlive the process, in the directory that the
// configuration calls state_dir: the revocations, and each issuer's last good
// key set. Nothing in it is a secret, and no token is ever in it.
package state

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linegate/linegate/auth"
)

// Dir is an open state_dir. It is safe for concurrent use; no other process has
// the same one open.
type Dir struct {
	path  string // empty: nothing is kept beyond the process
	log   *slog.Logger
	table auth.Revocations

	keys sync.Mutex // held while a key set is written
	lock *os.File   // nil: closed, or none; changes with keys and mu held

	mu        sync.Mutex  // guards what follows
	records   []*Record   // in order of creation, which is that of their ids
	lastID    int64       // the highest so far
	sweepAt   int         // when there are so many records, those that are over are looked for
	journal   *journal    // nil: none
	compactAt int         // when the journal has so many entries, it is looked at whether most are dead
	unstored  []byte      // entries that the journal could not take
	storing   *time.Timer // tries that again; nil: nothing to try

	lacking atomic.Int64 // entries in unstored, for who must not wait for a disk
}

// Open opens dir, which is made if only it is missing, and reads the revocations
// in it. An empty dir means memory only: then everything works, and nothing
// outlives the process. Errors name state_dir; one about damage, file and line.
func Open(dir string, log *slog.Logger) (*Dir, error) {
	d := &Dir{path: dir, log: log}
	if dir == "" {
		return d, nil
	}
	if err := d.open(); err != nil {
		d.Close()
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	return d, nil
}

func (d *Dir) open() (err error) {
	if err = ensurePrivate(d.path); err != nil {
		return err
	}
	if d.lock, err = openLock(filepath.Join(d.path, lockName)); err != nil {
		return err
	}
	if err = d.removeTemporary(); err != nil {
		return err
	}
	return d.readRevocations()
}

// Close lets other processes have the directory. What was revoked stays so in
// this process.
func (d *Dir) Close() {
	d.keys.Lock()
	defer d.keys.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.storing != nil {
		d.storing.Stop()
		d.storeUnstored()
		d.storing = nil
	}
	if d.journal != nil {
		d.journal.close()
	}
	if d.lock != nil {
		d.lock.Close()
		d.lock = nil
	}
}

// Revocations returns the revocations in force, for the verifier. Only Revoke and
// TakeBack change them.
func (d *Dir) Revocations() *auth.Revocations { return &d.table }

// The files in the directory, besides one for each issuer's keys. Only the
// owner reads and writes them.
const (
	lockName    = "lock"
	journalName = "revocations"
	temporary   = ".tmp" // ends the name of a file that is not yet in its place

	fileMode = 0o600
	dirMode  = 0o700
)

func openLock(path string) (*os.File, error) {
	if err := checkRegular(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return lock(path)
}

// ensurePrivate makes the directory, or refuses one that others can write: what
// they put there would be believed, keys even.
func ensurePrivate(dir string) error {
	err := os.Mkdir(dir, dirMode)
	if err == nil {
		return syncDir(filepath.Dir(dir))
	}
	info, statErr := os.Stat(dir)
	switch {
	case errors.Is(statErr, fs.ErrNotExist):
		return err
	case statErr != nil:
		return statErr
	case !info.IsDir():
		return fmt.Errorf("%s: not a directory", dir)
	case permissions(info)&0o022 != 0:
		return fmt.Errorf("%s: mode %04o lets others change what is in it; chmod 700 it, or name a directory below it", dir, permissions(info))
	}
	return nil
}

// checkRegular refuses what is there and no file: a FIFO would be waited for, and
// a device read without end.
func checkRegular(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	return err
}

// removeTemporary removes what a process left that was killed while it wrote.
func (d *Dir) removeTemporary() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), temporary) {
			if err := os.Remove(filepath.Join(d.path, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
