package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// journal is a file to which entries are added at the end, each on the disk
// before append returns. It is Dir's, and under its lock.
type journal struct {
	path    string
	file    *os.File // nil: not there yet, or closed
	closed  bool
	size    int64 // of the entries that are on the disk for certain
	entries int   // how many these are

	// rewriteOnly is set when it is not certain what the file, or the
	// directory, has on the disk: only a new file brings that back. A failed
	// fsync may have dropped what it was to write, and the next succeed.
	rewriteOnly bool

	sync func(*os.File) error // (*os.File).Sync; tests make it fail
}

// openJournal opens the file at path, and makes it when there is none. It
// returns what is in it.
func openJournal(path string) (*journal, contents, error) {
	j := &journal{path: path, sync: (*os.File).Sync}
	err := checkRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, contents{}, j.rewrite(nil)
	}
	if err != nil {
		return nil, contents{}, err
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, contents{}, err
	}
	all, err := parse(doc)
	if bad, ok := errors.AsType[*badLine](err); ok {
		return nil, contents{}, fmt.Errorf("%s:%d: %w", path, bad.number, bad.why)
	}
	if j.file, err = os.OpenFile(path, os.O_RDWR, fileMode); err != nil {
		return nil, contents{}, err
	}
	j.size, j.entries = int64(all.size), all.entries
	j.rewriteOnly = all.torn > 0 || all.open
	return j, all, nil
}

// append adds entries, which end in LF each. After an error none of them is in
// the file, and the next append may work.
func (j *journal) append(entries []byte) error {
	if j.closed {
		return os.ErrClosed
	}
	_, err := j.file.WriteAt(entries, j.size)
	if err == nil {
		if err = j.sync(j.file); err != nil {
			j.rewriteOnly = true
		}
	}
	if err != nil {
		if j.file.Truncate(j.size) != nil {
			j.rewriteOnly = true
		}
		return err
	}
	j.size += int64(len(entries))
	j.entries += bytes.Count(entries, []byte("\n"))
	return nil
}

// rewrite replaces the file by one that has these records and nothing else.
// After an error nothing is lost.
func (j *journal) rewrite(records []*Record) error {
	if j.closed {
		return os.ErrClosed
	}
	size := 0
	next, err := prepare(j.path, func(w io.Writer) error {
		n, err := io.WriteString(w, header)
		size += n
		for _, r := range records {
			if err == nil {
				n, err = w.Write(r.entry())
				size += n
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := place(next, j.path); err != nil {
		next.Close()
		j.rewriteOnly = true
		return err
	}
	if j.file != nil {
		j.file.Close() // no longer there, and all of it is in the new one
	}
	j.file, j.size, j.entries, j.rewriteOnly = next, int64(size), len(records), false
	return nil
}

func (j *journal) close() {
	j.closed = true
	if j.file != nil {
		j.file.Close() // nothing waits to be written
	}
}
