package state

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// FuzzJournal: whatever is in the file, it is read or refused, and what was read
// is written so that it is read the same. With seals, each line is given the
// checksum that it needs to get further.
func FuzzJournal(f *testing.F) {
	for _, entries := range [][]string{
		{},
		{`{"id":"0000000000000001","issuer":"i","subject":"a","issued_before":"2026-03-01T12:00:00.5Z","until":"9999-12-31T23:59:59-01:00"}`, `{"id":"0000000000000001","removed":true}`},
		{`{"id":"0000000000000001","issuer":"i"}`, `{"id":"0000000000000002","issuer":"i","digest":"n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}`},
		{`{"id":"0000000000000001","issuer":"i","key_id":"k","reason":"\ud800","created_by":{"issuer":"i","subject":"s"}}`, `{"id":"000000000000000`},
	} {
		doc := []byte(sealed(entries...))
		f.Add(doc, false)
		f.Add(doc[:len(doc)-1], false)
		f.Add(doc[:len(doc)*2/3], false)
		f.Add([]byte(strings.Join(entries, "\n")), true)
	}
	f.Fuzz(func(t *testing.T, doc []byte, seals bool) {
		if seals {
			doc = []byte(sealed(strings.Split(string(doc), "\n")...))
		}
		all, err := parse(doc)
		if err != nil {
			bad, ok := errors.AsType[*badLine](err)
			if !ok || bad.number < 1 || bad.number > bytes.Count(doc, []byte("\n"))+1 || all.records != nil {
				t.Fatalf("%v, with %+v", err, all)
			}
			return
		}
		if all.size+all.torn != len(doc) || len(all.records) > all.entries {
			t.Fatalf("%d of %d bytes, %d torn; %d records of %d entries", all.size, len(doc), all.torn, len(all.records), all.entries)
		}
		if again, err := parse(doc[:all.size]); err != nil || again.torn > 0 || !reflect.DeepEqual(again.records, all.records) {
			t.Fatalf("without what is torn: %+v, %v", again, err)
		}
		written := []byte(header)
		for _, r := range all.records {
			if err := r.check(); err != nil {
				t.Fatalf("%+v: %v", r, err)
			}
			written = append(written, r.entry()...)
		}
		again, err := parse(written)
		if err != nil || again.entries != len(all.records) || again.torn > 0 || again.open || !reflect.DeepEqual(again.records, all.records) {
			t.Fatalf("written again: %s%+v, %v", written, again, err)
		}
	})
}
