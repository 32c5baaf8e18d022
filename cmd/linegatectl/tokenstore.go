package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// storeVariable names the token file, where --token-store does not.
const storeVariable = "LINEGATECTL_TOKEN_STORE"

// tokenStore is the file that keeps the logins of one user, one for each issuer
// and client. Only its owner may read it.
//
// Refresh tokens that are rotated can be used once: of two processes that used
// the same one, the issuer would take the second for a thief and end the login
// (RFC 9700 section 4.14.2). So whoever changes the file holds a lock from
// reading it to replacing it, the request to the issuer included.
type tokenStore struct {
	path  string
	named bool // by the flag, which advice has to repeat
}

// openStore returns the store that the flag, the environment or the user's
// configuration directory names; it need not exist yet.
func openStore(c *console, flag string) (*tokenStore, error) {
	if flag != "" {
		return &tokenStore{path: flag, named: true}, nil
	}
	if path, ok := c.variable(storeVariable); ok && path != "" {
		return &tokenStore{path: path}, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, fmt.Errorf("no place for the token file: %w; give --token-store", err)
	}
	return &tokenStore{path: filepath.Join(dir, "linegatectl", "tokens.json")}, nil
}

// contents is the file.
type contents struct {
	Version int     `json:"version"`
	Logins  []login `json:"logins"`
}

const storeVersion = 1

// at returns the place of the login of this client at this issuer, nil when
// there is none.
func (c *contents) at(issuer, clientID string) *login {
	for i := range c.Logins {
		if c.Logins[i].Issuer == issuer && c.Logins[i].ClientID == clientID {
			return &c.Logins[i]
		}
	}
	return nil
}

// put adds a login, or replaces the one of the same client at the same issuer.
func (c *contents) put(l login) {
	c.remove(l.Issuer, l.ClientID)
	c.Logins = append(c.Logins, l)
}

func (c *contents) remove(issuer, clientID string) {
	c.Logins = slices.DeleteFunc(c.Logins, func(l login) bool {
		return l.Issuer == issuer && l.ClientID == clientID
	})
}

// find returns the login of this client at this issuer, or, without a client,
// the only one at this issuer; nil when there is none.
func (s *tokenStore) find(issuer, clientID string) (*login, error) {
	all, err := s.read()
	if err != nil || clientID != "" {
		return all.at(issuer, clientID), err
	}
	var found *login
	for i, l := range all.Logins {
		switch {
		case l.Issuer != issuer:
		case found != nil:
			return nil, &severalLogins{issuer, found.ClientID, l.ClientID}
		default:
			found = &all.Logins[i]
		}
	}
	return found, nil
}

// severalLogins is an issuer at which only a client's id tells which login is
// meant.
type severalLogins struct{ issuer, one, other string }

func (s *severalLogins) Error() string {
	return fmt.Sprintf("there are logins of %s and %s at %s, which one?", s.one, s.other, s.issuer)
}

// whichLogin names the flag that would have told.
func whichLogin(flag string, err error) error {
	if _, ok := errors.AsType[*severalLogins](err); ok {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	return err
}

// update lets change edit the contents while no other process can, and writes
// them, if they are others then, also when change fails. That the directory can
// be written is certain before change is called.
func (s *tokenStore) update(ctx context.Context, change func(*contents) error) error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return failed(fmt.Errorf("token file: %w", err))
	}
	if err := s.privateDirectory(); err != nil { // before anything is put there
		return failed(err)
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return failed(fmt.Errorf("token file: %w", err))
	}
	defer unlock()
	all, err := s.read()
	if err != nil {
		return err
	}
	before, err := json.Marshal(all)
	if err != nil {
		return failed(fmt.Errorf("token file: %w", err))
	}
	// A file of its own, mode 0600: nobody can have it open already.
	next, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".*")
	if err != nil {
		return failed(fmt.Errorf("token file: %w", err))
	}
	defer os.Remove(next.Name()) // fails after the rename
	defer next.Close()

	changeErr := change(&all)
	after, err := json.Marshal(all)
	if err == nil && !bytes.Equal(before, after) {
		err = s.replace(next, all)
	}
	if err != nil {
		return failed(fmt.Errorf("token file: not replaced: %w", err))
	}
	return changeErr
}

// replace writes all to next and puts that in the file's place: whenever the
// machine stops, the file is the old or the new one.
func (s *tokenStore) replace(next *os.File, all contents) error {
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = next.Write(append(text, '\n'))
	if err := errors.Join(err, next.Chmod(0o600), next.Sync(), next.Close()); err != nil {
		return err
	}
	if err := os.Rename(next.Name(), s.path); err != nil {
		return err
	}
	if dir, err := os.Open(filepath.Dir(s.path)); err == nil {
		_ = dir.Sync() // not every system can; the file itself is safe
		dir.Close()
	}
	return nil
}

// lock waits until no other process has the lock. The lock is beside the file,
// which is replaced and so cannot carry it.
func (s *tokenStore) lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(s.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	locked := make(chan error, 1)
	go func() { locked <- lockFile(f) }()
	select {
	case err := <-locked:
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		return func() { f.Close() }, nil
	case <-ctx.Done():
		go func() { // the wait cannot be interrupted
			<-locked
			f.Close()
		}()
		return nil, ctx.Err()
	}
}

// maxStore bounds the file, in bytes.
const maxStore = 4 << 20

// read returns what is stored; a file that is not there is empty.
func (s *tokenStore) read() (contents, error) {
	empty := contents{Version: storeVersion}
	f, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return empty, failed(fmt.Errorf("token file: %w", err))
	}
	defer f.Close()
	if err := s.private(f); err != nil {
		return empty, failed(err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxStore+1))
	if err != nil {
		return empty, failed(fmt.Errorf("token file: %w", err))
	}
	var all contents
	// The decoder's error could quote what is in the file.
	if len(text) > maxStore || json.Unmarshal(text, &all) != nil || all.Version != storeVersion {
		return empty, failed(fmt.Errorf("token file %s: not one of version %d of linegatectl's; move it away and log in again", s.path, storeVersion))
	}
	return all, nil
}

// private refuses a file that others can read, and one in a directory where
// others could replace it.
func (s *tokenStore) private(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("token file %s: not a file", s.path)
	case permissions(info)&0o077 != 0:
		return fmt.Errorf("token file %s: mode %04o lets others at the tokens; chmod 600 it", s.path, permissions(info))
	}
	return s.privateDirectory()
}

// privateDirectory refuses a directory in which others can put files.
func (s *tokenStore) privateDirectory() error {
	dir, err := os.Stat(filepath.Dir(s.path))
	if err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	if permissions(dir)&0o022 != 0 {
		return fmt.Errorf("token file %s: mode %04o of its directory lets others replace it; chmod 700 that", s.path, permissions(dir))
	}
	return nil
}
