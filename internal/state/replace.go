package state

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
)

// prepare writes a file that is to take the place of another in its directory,
// and makes sure that it is on the disk. After an error there is none.
func prepare(path string, write func(io.Writer) error) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+temporary) // mode 0600
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewWriter(f)
	if err = write(buffered); err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		discard(f)
		return nil, err
	}
	return f, nil
}

// place puts a prepared file in the place of the one at path: whenever the
// machine stops, it is the old or the new one, whole. Until place has returned
// without an error, either may be found there.
func place(f *os.File, path string) error {
	if err := os.Rename(f.Name(), path); err != nil {
		discard(f)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// discard removes a file whose writing failed. If that fails too, the next Open
// does it.
func discard(f *os.File) {
	f.Close()
	os.Remove(f.Name())
}

// syncDir makes sure that names in a directory are on the disk.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
