package state

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/linegate/linegate/auth"
)

// Record is a revocation as it was asked for. It is immutable.
type Record struct {
	ID string // of 16 characters of [0-9a-f], ascending in order of creation
	auth.Revocation
	Session   string // whose token it was, where that is how it was named
	Reason    string
	CreatedAt time.Time
	CreatedBy Actor
}

// Actor is who asked for a revocation.
type Actor struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
}

var (
	// ErrNotStored is what Revoke's error wraps when the revocation is in
	// force, and could not be kept: a restart would forget it. That is tried
	// again until it works, and by Close.
	ErrNotStored = errors.New("in force, but not stored")
	// ErrNotFound is what TakeBack returns when there is no such revocation.
	ErrNotFound = errors.New("no such revocation")
)

// Revoke puts a revocation in force at once, calls inForce (unless nil), and
// returns when it is stored so that neither a kill nor a power cut loses it: a
// slow disk keeps no session alive whose owner looks again in inForce. What it
// returns has its ID and CreatedAt.
//
// The record is good also with an error that wraps ErrNotStored. Any other says
// what is wrong with the revocation or the reason, and nothing has changed.
func (d *Dir) Revoke(wanted Record, inForce func()) (Record, error) {
	if err := wanted.Check(); err != nil {
		return Record{}, err
	}
	r := created(wanted, time.Now())
	if err := d.table.Add(r.Revocation); err != nil {
		return Record{}, err
	}
	if inForce != nil {
		inForce()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.records) >= d.sweepAt {
		d.sweep(r.CreatedAt)
	}
	r.ID = d.nextID(r.CreatedAt)
	d.records = append(d.records, r)
	d.unstored = append(d.unstored, r.entry()...)
	if err := d.store(d.records, d.unstored); err != nil {
		d.storeLater()
		return *r, fmt.Errorf("%w: %w", ErrNotStored, err)
	}
	d.compactIfDead()
	return *r, nil
}

// TakeBack ends a revocation, and returns what it was. After an error it is in
// force as before.
func (d *Dir) TakeBack(id string) (Record, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, found := search(d.records, id)
	if !found || d.records[i].over(time.Now()) {
		return Record{}, ErrNotFound
	}
	r := d.records[i]
	left := slices.Concat(d.records[:i], d.records[i+1:])
	if err := d.store(left, slices.Concat(d.unstored, r.removal())); err != nil {
		return Record{}, fmt.Errorf("still in force, since that it was taken back could not be stored: %w", err)
	}
	d.records = left
	d.table.Remove(r.Revocation)
	d.compactIfDead()
	return *r, nil
}

// List returns the revocations in force whose id is above after, at most limit of
// them, in order of creation, and whether there are more.
func (d *Dir) List(after string, limit int) (page []Record, more bool) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	i, found := search(d.records, after)
	if found {
		i++
	}
	for _, r := range d.records[i:] {
		if r.over(now) {
			continue
		}
		if len(page) == limit {
			return page, true
		}
		page = append(page, *r)
	}
	return page, false
}

// maxReason is the most bytes of a reason.
const maxReason = 256

// created returns the record, which has no id yet. An Until that RFC 3339 cannot
// write is kept as none: exp may lie in any year.
func created(r Record, now time.Time) *Record {
	r.CreatedAt = now.Round(0).UTC()
	r.IssuedBefore, r.Until = r.IssuedBefore.Round(0).UTC(), r.Until.Round(0).UTC()
	if r.Until.Year() > maxYear {
		r.Until = time.Time{}
	}
	return &r
}

// maxYear is the last one that RFC 3339 has.
const maxYear = 9999

// Check says what is wrong with a record that is wanted, by the names of the
// admin API; nil when Revoke will put it in force.
func (r Record) Check() error { return created(r, time.Now()).check() }

func (r *Record) check() error {
	if err := r.Revocation.Check(); err != nil {
		return err
	}
	if len(r.Reason) > maxReason {
		return fmt.Errorf("reason: longer than %d bytes", maxReason)
	}
	if !utf8.ValidString(r.Reason) {
		return errors.New("reason: not UTF-8")
	}
	for _, field := range []struct {
		name string
		time time.Time
	}{{"issued_before", r.IssuedBefore}, {"expires_at", r.Until}, {"created_at", r.CreatedAt}} {
		if year := field.time.Year(); year < 0 || year > maxYear {
			return fmt.Errorf("%s: not in the years 0 to %d", field.name, maxYear)
		}
	}
	return nil
}

// over reports whether no token that the record could match is left.
func (r *Record) over(now time.Time) bool { return !r.Until.IsZero() && !now.Before(r.Until) }

// nextID makes ids out of the time: so those of an earlier run do not come again,
// and need not be remembered for it.
func (d *Dir) nextID(now time.Time) string {
	d.lastID = max(d.lastID+1, now.UnixNano())
	return fmt.Sprintf("%016x", d.lastID)
}

// parseID returns the number that an id is made of.
func parseID(id string) (int64, error) {
	n, err := strconv.ParseInt(id, 16, 64)
	if err != nil || n <= 0 || fmt.Sprintf("%016x", n) != id {
		return 0, errors.New("id: not one of this program's")
	}
	return n, nil
}

// keptAfter is how long what is over is still remembered: a clock that was ahead
// for a while must not make the gateway forget.
const keptAfter = 24 * time.Hour

// sweep forgets what is long over. The journal loses it when it is next
// rewritten.
func (d *Dir) sweep(now time.Time) {
	end := now.Add(-keptAfter)
	d.records = slices.DeleteFunc(d.records, func(r *Record) bool { return r.over(end) })
	d.table.Forget(end)
	d.sweepAt = max(1000, 2*len(d.records))
}

// readRevocations puts in force what the journal says.
func (d *Dir) readRevocations() error {
	j, all, err := openJournal(filepath.Join(d.path, journalName))
	if err != nil {
		return err
	}
	d.journal, d.records, d.lastID, d.compactAt = j, all.records, all.lastID, fewEntries
	d.sweep(time.Now())
	for _, r := range d.records {
		if err := d.table.Add(r.Revocation); err != nil {
			return err
		}
	}
	if all.torn > 0 {
		d.log.Warn("the last entry of the revocations is not complete, and is left out", "file", j.path, "bytes", all.torn)
	}
	if j.rewriteOnly || j.entries > len(d.records) {
		d.compact()
	}
	return nil
}

// store makes the journal say what is true once entries, which is what it lacks,
// are added to it: that there are these records.
func (d *Dir) store(records []*Record, entries []byte) (err error) {
	switch j := d.journal; {
	case j == nil:
	case j.rewriteOnly:
		err = j.rewrite(records)
	default:
		err = j.append(entries)
	}
	if err == nil {
		d.allStored()
	}
	return err
}

// compactIfDead rewrites the journal when more than half of it is dead.
func (d *Dir) compactIfDead() {
	if j := d.journal; j != nil && j.entries >= d.compactAt && j.entries > 2*len(d.records) {
		d.compact()
	}
}

// fewEntries are not worth a rewrite, except on opening.
const fewEntries = 100

// compact makes the journal as short as it can be. That it fails is no harm yet:
// everything is stored, and it is tried again when there is twice as much.
func (d *Dir) compact() {
	d.compactAt = fewEntries
	if err := d.journal.rewrite(d.records); err != nil {
		d.compactAt = 2 * d.journal.entries
		d.log.Warn("the file of revocations could not be made shorter", "error", err)
		return
	}
	d.allStored()
}

func (d *Dir) allStored() {
	d.unstored = nil
	d.lacking.Store(0)
}
