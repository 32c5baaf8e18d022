package state

import (
	"bytes"
	"log/slog"
	"time"
)

// storeAgain is how long after a failure the disk is tried again.
const storeAgain = 10 * time.Second

// Unstored returns how many revocations are in force that the disk does not have.
// It waits for nothing.
func (d *Dir) Unstored() int { return int(d.lacking.Load()) }

// storeLater sees to it that what is not stored will be: a disk is full for a
// while, and nobody may revoke anything for long after that. mu is held.
func (d *Dir) storeLater() {
	d.lacking.Store(int64(bytes.Count(d.unstored, []byte("\n"))))
	if d.storing == nil && d.lock != nil {
		d.storing = time.AfterFunc(storeAgain, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.storing != nil && !d.storeUnstored() {
				d.storing.Reset(storeAgain)
			}
		})
	}
}

// storeUnstored reports whether nothing remains to be stored. Close calls it for
// the last time. mu is held.
func (d *Dir) storeUnstored() bool {
	if len(d.unstored) > 0 { // else it went with a later one
		entries := bytes.Count(d.unstored, []byte("\n"))
		if err := d.store(d.records, d.unstored); err != nil {
			d.log.Error("revocations still not stored", slog.Int("entries", entries), slog.Any("error", err))
			return false
		}
		d.log.Info("revocations stored after all", slog.Int("entries", entries))
	}
	d.storing = nil
	return true
}
