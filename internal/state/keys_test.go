package state

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
)

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	a := auth.Snapshot{
		Issuer: "https://a.test/" + strings.Repeat("../", 80), Discovered: "https://a.test/keys", InsecureHTTP: true,
		FetchedAt: time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC), Document: []byte("{\"keys\":[]}\n\x00\xff"),
	}
	b := auth.Snapshot{Issuer: "https://b.test", JWKSURI: "https://b.test/jwks", FetchedAt: a.FetchedAt, Document: bytes.Repeat([]byte("x"), 512<<10)}
	for _, s := range []auth.Snapshot{a, b} {
		if _, found, err := d.LoadKeys(s.Issuer); found || err != nil {
			t.Errorf("before there are any: %t, %v", found, err)
		}
		for _, document := range [][]byte{[]byte("earlier, and longer"), s.Document} {
			s.Document = document
			if err := d.SaveKeys(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		for _, want := range []auth.Snapshot{a, b} {
			if got, found, err := d.LoadKeys(want.Issuer); err != nil || !found || !reflect.DeepEqual(got, want) {
				t.Errorf("%.200v, %t, %v", got, found, err)
			}
		}
		d = reopen(t, d, dir)
	}
}

// Without a directory, keys are not kept.
func TestKeysInMemory(t *testing.T) {
	d := open(t, "")
	if err := d.SaveKeys(auth.Snapshot{Issuer: "i"}); err != nil {
		t.Error(err)
	}
	if _, found, err := d.LoadKeys("i"); found || err != nil {
		t.Errorf("%t, %v", found, err)
	}
}

// A file that was cut, or has a byte that changed, is not taken for keys; the
// next set replaces it.
func TestKeysDamaged(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	s := auth.Snapshot{Issuer: "i", FetchedAt: time.Unix(1, 0).UTC(), Document: []byte(`{"keys":[]}`)}
	if err := d.SaveKeys(s); err != nil {
		t.Fatal(err)
	}
	path := d.keysPath("i")
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(doc []byte, format string, args ...any) {
		t.Helper()
		writeFile(t, path, string(doc))
		_, found, err := d.LoadKeys("i")
		if found || err == nil || !strings.HasPrefix(err.Error(), "state_dir: "+path+": ") {
			t.Errorf(format+": %t, %v", append(args, found, err)...)
		}
	}
	for i := range doc {
		check(doc[:i], "%d bytes", i)
		for bit := range 8 {
			doc[i] ^= 1 << bit
			check(doc, "byte %d, bit %d", i, bit)
			doc[i] ^= 1 << bit
		}
	}
	check(append(doc, 'x'), "a byte more")
	check(append([]byte(keysHeader), seal([]byte(`{"issuer":1}`))...), "something else")
	check(append([]byte(keysHeader), seal([]byte(`{"issuer":"j"}`))...), "another issuer")
	check(bytes.Repeat([]byte("x"), maxKeysFile+1), "too long")
	if err := d.SaveKeys(s); err != nil {
		t.Fatal(err)
	}
	if got, found, err := d.LoadKeys("i"); err != nil || !found || !reflect.DeepEqual(got, s) {
		t.Errorf("%v, %t, %v", got, found, err)
	}
}

// A set that cannot be stored leaves the one before, and nothing else.
func TestKeysNotStored(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	if err := os.Mkdir(d.keysPath("https://a.test"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := d.SaveKeys(auth.Snapshot{Issuer: "https://a.test"})
	if err == nil || !strings.HasPrefix(err.Error(), "state_dir: the keys of https://a.test are not stored: rename ") {
		t.Errorf("got %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*"+temporary)); err != nil || len(left) > 0 {
		t.Errorf("left there: %v, %v", left, err)
	}
	d.Close()
	if err := d.SaveKeys(auth.Snapshot{Issuer: "i"}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
