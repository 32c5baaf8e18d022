package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/linegate/linegate/auth"
)

// entry is a line of the journal: a revocation, or one taken back. It is written
// as the CRC-32C of its JSON in 8 hex digits, a space, the JSON, and LF.
type entry struct {
	ID      string `json:"id"`
	Removed bool   `json:"removed,omitempty"` // takes ID back, and has nothing else

	Issuer       string    `json:"issuer,omitempty"`
	Subject      string    `json:"subject,omitempty"`
	ClientID     string    `json:"client_id,omitempty"`
	TokenID      string    `json:"token_id,omitempty"`
	Key          string    `json:"key_id,omitempty"`
	Digest       []byte    `json:"digest,omitempty"`
	Session      string    `json:"session,omitempty"`
	IssuedBefore time.Time `json:"issued_before,omitzero"`
	Until        time.Time `json:"until,omitzero"`
	Reason       string    `json:"reason,omitempty"`
	CreatedAt    time.Time `json:"created_at,omitzero"`
	CreatedBy    Actor     `json:"created_by,omitzero"`
}

// entry returns the line of the journal that adds the record.
func (r *Record) entry() []byte {
	e := entry{
		ID:     r.ID,
		Issuer: r.Issuer, Subject: r.Subject, ClientID: r.ClientID, TokenID: r.TokenID, Key: r.Key,
		IssuedBefore: r.IssuedBefore, Until: r.Until,
		Session: r.Session, Reason: r.Reason, CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy,
	}
	if r.Digest != [sha256.Size]byte{} {
		e.Digest = r.Digest[:]
	}
	return e.line()
}

// removal returns the line of the journal that takes the record back.
func (r *Record) removal() []byte { return entry{ID: r.ID, Removed: true}.line() }

func (e entry) line() []byte {
	text, err := json.Marshal(e)
	if err != nil {
		panic(err) // Record.check lets nothing pass that has no JSON
	}
	return seal(text)
}

func (e entry) record() (*Record, error) {
	r := &Record{
		ID: e.ID,
		Revocation: auth.Revocation{
			Issuer: e.Issuer, Subject: e.Subject, ClientID: e.ClientID, TokenID: e.TokenID, Key: e.Key,
			IssuedBefore: e.IssuedBefore.UTC(), Until: e.Until.UTC(),
		},
		Session: e.Session, Reason: e.Reason, CreatedAt: e.CreatedAt.UTC(), CreatedBy: e.CreatedBy,
	}
	if e.Digest != nil && len(e.Digest) != len(r.Digest) {
		return nil, errDigest
	}
	copy(r.Digest[:], e.Digest)
	if e.Digest != nil && r.Digest == [sha256.Size]byte{} {
		return nil, errDigest // it would stand for no target, which is all tokens
	}
	return r, r.check()
}

var errDigest = errors.New("digest: not a token's SHA-256")

// seal makes a line of the journal.
func seal(text []byte) []byte {
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(text, castagnoli), text)
}

// unseal returns what a line was made of, its LF taken off; not ok: it is not
// complete, or not what seal made.
func unseal(line []byte) (text []byte, ok bool) {
	sum, text, _ := bytes.Cut(line, []byte(" "))
	return text, string(sum) == fmt.Sprintf("%08x", crc32.Checksum(text, castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
