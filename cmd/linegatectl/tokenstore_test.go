package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Only the owner may read the file and its directory; nothing else stays
// beside it but the lock.
func TestStoreIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "linegatectl")
	store := &tokenStore{path: filepath.Join(dir, "tokens.json")}
	put := func(l login) {
		t.Helper()
		if err := store.update(t.Context(), func(all *contents) error { all.put(l); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	put(login{Issuer: "https://a.test", ClientID: "x", AccessToken: "1"})
	put(login{Issuer: "https://a.test", ClientID: "x", AccessToken: "2"})
	put(login{Issuer: "https://b.test", ClientID: "x", AccessToken: "3"})
	for _, name := range []string{dir, store.path, store.path + ".lock"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode := permissions(info); mode&0o077 != 0 {
			t.Errorf("%s has mode %o", name, mode)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	all, err := store.read()
	if err != nil || len(all.Logins) != 2 || all.at("https://a.test", "x").AccessToken != "2" {
		t.Errorf("%d logins, %v", len(all.Logins), err)
	}
}

// Files that are refused, each in one line that says what to do, and without
// their contents.
func TestStoreRefused(t *testing.T) {
	const good = `{"version":1,"logins":[]}`
	for name, test := range map[string]struct {
		content    string
		mode, dir  os.FileMode
		wantInText string
	}{
		"readable by the group":         {good, 0o640, 0o700, "mode 0640 lets others at the tokens; chmod 600 it"},
		"readable by all":               {good, 0o604, 0o700, "mode 0604 lets others at the tokens; chmod 600 it"},
		"a directory that others write": {good, 0o600, 0o770, "mode 0770 of its directory lets others replace it; chmod 700 that"},
		"a later version":               {`{"version":2,"logins":"secret"}`, 0o600, 0o700, "not one of version 1 of linegatectl's"},
		"not JSON":                      {`secret`, 0o600, 0o700, "not one of version 1 of linegatectl's"},
		"empty":                         {``, 0o600, 0o700, "not one of version 1 of linegatectl's"},
		"too long":                      {strings.Repeat(" ", maxStore) + good, 0o600, 0o700, "not one of version 1 of linegatectl's"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dir")
			path := filepath.Join(dir, "tokens.json")
			if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(path, []byte(test.content), 0o600), os.Chmod(path, test.mode), os.Chmod(dir, test.dir)); err != nil {
				t.Fatal(err)
			}
			for _, args := range []string{"token", "connect 127.0.0.1:1", "logout", "login --no-browser"} {
				got := runWith(t, []string{storeVariable + "=" + path}, "", strings.Fields(args)...)
				if got.status != exitFailure || !strings.HasPrefix(got.stderr, "linegatectl: token file "+path+": "+test.wantInText) ||
					strings.Count(got.stderr, "\n") != 1 || strings.Contains(got.stderr, "secret") {
					t.Errorf("%s: %+v", args, got)
				}
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != test.content {
				t.Errorf("the file was changed")
			}
		})
	}
}

// A directory that others write is refused before the first login puts anything
// there, a lock even.
func TestStoreRefusedWhenNew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o770)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "tokens.json")
	got := run(t, "", "login", "--no-browser", "--token-store", path)
	if got.status != exitFailure || got.stdout != "" ||
		!strings.HasPrefix(got.stderr, "linegatectl: token file "+path+": mode 0770 of its directory") {
		t.Errorf("%+v", got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left there: %v, %v", left, err)
	}
}

// Where nothing can be written, nobody is sent to the browser.
func TestStoreNotWritable(t *testing.T) {
	path := filepath.Join(write(t, "file", ""), "tokens.json")
	got := run(t, "", "login", "--no-browser", "--token-store", path)
	if got.status != exitFailure || got.stdout != "" || !strings.HasPrefix(got.stderr, "linegatectl: token file: mkdir ") {
		t.Errorf("%+v", got)
	}
}

// Which login is meant.
func TestStoreFind(t *testing.T) {
	store := &tokenStore{path: filepath.Join(t.TempDir(), "tokens.json")}
	err := store.update(t.Context(), func(all *contents) error {
		all.Logins = []login{{Issuer: "a", ClientID: "x"}, {Issuer: "b", ClientID: "x"}, {Issuer: "b", ClientID: "y"}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ issuer, clientID, want string }{
		{"a", "", "a x"},
		{"a", "x", "a x"},
		{"a", "y", ""},
		{"b", "y", "b y"},
		{"c", "", ""},
		{"b", "", "there are logins of x and y at b, which one?"},
	} {
		l, err := store.find(test.issuer, test.clientID)
		got := fmt.Sprint(err)
		if err == nil {
			got = ""
			if l != nil {
				got = l.Issuer + " " + l.ClientID
			}
		}
		if got != test.want {
			t.Errorf("%s %s: got %q, want %q", test.issuer, test.clientID, got, test.want)
		}
	}
}

// Updates wait for each other, and one that waits can give up.
func TestStoreLock(t *testing.T) {
	store := &tokenStore{path: filepath.Join(t.TempDir(), "tokens.json")}
	const each, writers = 20, 4
	done := make(chan error, writers)
	for w := range writers {
		go func() {
			var err error
			for i := range each {
				err = errors.Join(err, store.update(t.Context(), func(all *contents) error {
					all.put(login{Issuer: fmt.Sprint(w), ClientID: fmt.Sprint(i)})
					return nil
				}))
			}
			done <- err
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if all, err := store.read(); len(all.Logins) != each*writers || err != nil {
		t.Errorf("%d logins, %v", len(all.Logins), err)
	}

	unlock, err := store.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := store.update(ctx, func(*contents) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// A failure to write is told, also where the change itself failed.
func TestStoreNotReplaced(t *testing.T) {
	for _, changeErr := range []error{nil, errors.New("refused")} {
		store := &tokenStore{path: filepath.Join(t.TempDir(), "tokens.json")}
		err := store.update(t.Context(), func(all *contents) error {
			all.put(login{Issuer: "a"})
			if err := os.Mkdir(store.path, 0o700); err != nil {
				t.Fatal(err)
			}
			return changeErr
		})
		if err == nil || !strings.HasPrefix(err.Error(), "token file: not replaced: rename ") {
			t.Errorf("got %v", err)
		}
	}
}

// The place: flag, environment, configuration directory.
func TestStorePlace(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Setenv("HOME", "/home/x")
	}
	t.Setenv("XDG_CONFIG_HOME", "/home/x/.config")
	config, err := os.UserConfigDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		flag    string
		environ []string
		want    string
	}{
		{"/a/b", []string{storeVariable + "=/c/d"}, "/a/b"},
		{"", []string{storeVariable + "=/c/d"}, "/c/d"},
		{"", []string{storeVariable + "="}, filepath.Join(config, "linegatectl", "tokens.json")},
		{"", nil, filepath.Join(config, "linegatectl", "tokens.json")},
	} {
		store, err := openStore(&console{environ: test.environ}, test.flag)
		if err != nil || store.path != test.want {
			t.Errorf("%+v: %+v, %v", test, store, err)
		}
	}
}

// A login can be printed by whoever holds it without showing its tokens.
func TestLoginIsNotPrinted(t *testing.T) {
	l := login{Issuer: "https://a.test", Subject: "alice", AccessToken: "secret", RefreshToken: "secret"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{l, &l, []login{l}} {
			if got := fmt.Sprintf(format, value); strings.Contains(got, "secret") || !strings.Contains(got, "alice") {
				t.Errorf("%s: %s", format, got)
			}
		}
	}
}
