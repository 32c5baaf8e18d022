package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/linegate/linegate/auth"
)

// SaveKeys keeps an issuer's key set in the place of the one before. Whenever
// the machine stops, one of the two is there, whole.
func (d *Dir) SaveKeys(s auth.Snapshot) error {
	if d.path == "" {
		return nil
	}
	if err := d.saveKeys(s); err != nil {
		return fmt.Errorf("state_dir: the keys of %s are not stored: %w", s.Issuer, err)
	}
	return nil
}

// LoadKeys returns the key set that was kept of an issuer, by its identifier.
// What is damaged is an error, and not found: the issuer has another.
func (d *Dir) LoadKeys(issuer string) (s auth.Snapshot, found bool, err error) {
	if d.path == "" {
		return auth.Snapshot{}, false, nil
	}
	path := d.keysPath(issuer)
	err = checkRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return auth.Snapshot{}, false, nil
	}
	if err == nil {
		s, err = readKeysFile(path, issuer)
	}
	if err != nil {
		return auth.Snapshot{}, false, fmt.Errorf("state_dir: %s: %w", path, err)
	}
	return s, true, nil
}

// keysHeader is the first line of a file of keys. The second is sealed as a
// journal's are, and the last.
const keysHeader = "linegate keys 1\n"

// maxKeysFile is more than a file of keys has: the longest set that is taken, in
// base64, and what is said about it.
const maxKeysFile = 2 << 20

// keySet is the JSON of an auth.Snapshot.
type keySet struct {
	Issuer       string    `json:"issuer"`
	JWKSURI      string    `json:"jwks_uri,omitempty"`
	Discovered   string    `json:"discovered,omitempty"`
	InsecureHTTP bool      `json:"insecure_http,omitempty"`
	FetchedAt    time.Time `json:"fetched_at"`
	Document     []byte    `json:"document"`
}

// keysPath names the file by a digest: an issuer's identifier has bytes, and a
// length, that no file's name has.
func (d *Dir) keysPath(issuer string) string {
	digest := sha256.Sum256([]byte(issuer))
	return filepath.Join(d.path, fmt.Sprintf("keys-%x", digest[:16]))
}

func (d *Dir) saveKeys(s auth.Snapshot) error {
	text, err := json.Marshal(keySet(s))
	if err != nil {
		return err
	}
	d.keys.Lock()
	defer d.keys.Unlock()
	if d.lock == nil {
		return os.ErrClosed
	}
	path := d.keysPath(s.Issuer)
	f, err := prepare(path, func(w io.Writer) error {
		_, err := w.Write(append([]byte(keysHeader), seal(text)...))
		return err
	})
	if err != nil {
		return err
	}
	defer f.Close()
	return place(f, path)
}

var (
	errKeysHeader = errors.New("not a file of keys of this version")
	errOther      = errors.New("of another issuer")
)

func readKeysFile(path, issuer string) (auth.Snapshot, error) {
	f, err := os.Open(path)
	if err != nil {
		return auth.Snapshot{}, err
	}
	defer f.Close()
	return readKeys(f, issuer)
}

func readKeys(r io.Reader, issuer string) (auth.Snapshot, error) {
	doc, err := io.ReadAll(io.LimitReader(r, maxKeysFile))
	if err != nil {
		return auth.Snapshot{}, err
	}
	line, found := bytes.CutPrefix(doc, []byte(keysHeader))
	if !found {
		return auth.Snapshot{}, errKeysHeader
	}
	line, complete := bytes.CutSuffix(line, []byte("\n"))
	text, intact := unseal(line)
	if !complete || !intact {
		return auth.Snapshot{}, errChecksum
	}
	var s keySet
	if err := json.Unmarshal(text, &s); err != nil {
		return auth.Snapshot{}, errKeysHeader
	}
	if s.Issuer != issuer {
		return auth.Snapshot{}, errOther
	}
	return auth.Snapshot(s), nil
}
