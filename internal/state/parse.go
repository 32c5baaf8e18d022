package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// header is the first line of a journal; the entries follow, their ids
// ascending. The file may end in an entry that is not complete, because the
// process or the machine stopped while it was written: whoever asked for it was
// not told that it is kept.
const header = "linegate revocations 1\n"

// contents is what a journal says.
type contents struct {
	records []*Record // those that were not taken back, in order
	lastID  int64     // the highest, also of what was taken back
	entries int       // how many lines there are behind the first
	size    int       // in bytes, without what is torn
	torn    int       // bytes of a last entry that is not complete
	open    bool      // of the last entry, the LF is missing and nothing else
}

// badLine is damage to a journal that no stop of the machine explains.
type badLine struct {
	number int
	why    error
}

func (b *badLine) Error() string { return fmt.Sprintf("line %d: %v", b.number, b.why) }

func (b *badLine) Unwrap() error { return b.why }

var (
	errHeader   = fmt.Errorf("want %q", strings.TrimSpace(header))
	errChecksum = errors.New("damaged, its checksum says")
	errEnd      = errors.New("damaged, another byte in place of its end")
	errEntry    = errors.New("no entry of this version")
	errOrder    = errors.New("its id is not above those before it")
	errNothing  = errors.New("takes back what is not there")
)

// parse reads a journal. Its error is a *badLine.
func parse(doc []byte) (contents, error) {
	rest, found := bytes.CutPrefix(doc, []byte(header))
	if !found { // not even in part: the file came to its place whole
		return contents{}, &badLine{1, errHeader}
	}
	all := contents{size: len(header)}
	gone := map[string]bool{}
	for len(rest) > 0 && !all.open {
		line, behind, complete := bytes.Cut(rest, []byte("\n"))
		text, intact := unseal(line)
		if !complete && !intact {
			if _, intact := unseal(line[:len(line)-1]); intact {
				return contents{}, &badLine{all.entries + 2, errEnd}
			}
			break
		}
		if !intact {
			return contents{}, &badLine{all.entries + 2, errChecksum}
		}
		if err := all.add(text, gone); err != nil {
			return contents{}, &badLine{all.entries + 2, err}
		}
		all.entries++
		all.size += len(rest) - len(behind)
		all.open = !complete
		rest = behind
	}
	all.torn = len(rest)
	all.records = slices.DeleteFunc(all.records, func(r *Record) bool { return gone[r.ID] })
	return all, nil
}

// add reads one entry. What was taken back goes into gone.
func (c *contents) add(text []byte, gone map[string]bool) error {
	var e entry
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // of a later version: what they mean could be anything
	if decoder.Decode(&e) != nil {
		return errEntry
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errEntry
	}
	if e.Removed {
		if _, found := search(c.records, e.ID); !found || gone[e.ID] {
			return errNothing
		}
		gone[e.ID] = true
		return nil
	}
	r, err := e.record()
	if err != nil {
		return err
	}
	id, err := parseID(r.ID)
	if err != nil {
		return err
	}
	if id <= c.lastID {
		return errOrder
	}
	c.lastID = id
	c.records = append(c.records, r)
	return nil
}

// search returns the place of the record with this id, or where it would be.
func search(records []*Record, id string) (place int, found bool) {
	return slices.BinarySearchFunc(records, id, func(r *Record, id string) int {
		return strings.Compare(r.ID, id)
	})
}
