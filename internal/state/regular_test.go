//go:build unix

package state

import (
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/linegate/linegate/auth"
)

// What stands in the place of a file and is none is refused at once, by name: a
// FIFO is not waited for, and a device not read.
func TestNoFiles(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a FIFO":                func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a directory":           func(path string) error { return os.Mkdir(path, 0o700) },
		"a link to a device":    func(path string) error { return os.Symlink("/dev/zero", path) },
		"a link to a directory": func(path string) error { return os.Symlink("/", path) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, file := range []string{journalName, lockName} {
				dir := t.TempDir()
				path := filepath.Join(dir, file)
				if err := put(path); err != nil {
					t.Fatal(err)
				}
				want := "state_dir: open " + path + ": not a regular file"
				if _, err := Open(dir, slog.New(slog.DiscardHandler)); err == nil || err.Error() != want {
					t.Errorf("got  %v\nwant %s", err, want)
				}
			}

			// Keys are read later, and not needed.
			d := open(t, t.TempDir())
			path := d.keysPath("i")
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			want := "state_dir: " + path + ": open " + path + ": not a regular file"
			if _, found, err := d.LoadKeys("i"); found || err == nil || err.Error() != want {
				t.Errorf("got  %t, %v\nwant %s", found, err, want)
			}
			if err := d.SaveKeys(auth.Snapshot{Issuer: "i"}); name != "a directory" && err != nil {
				t.Errorf("not replaced: %v", err)
			}
		})
	}
}
