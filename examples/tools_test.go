//go:build examples

package examples

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// built are the programs that the tests make for themselves.
type built struct {
	linegatectl string
	device      string // examples/c, with the address and undefined-behaviour sanitizers
}

var programs built // set by TestMain

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "linegate-examples-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		programs = built{filepath.Join(dir, "linegatectl"), filepath.Join(dir, "device")}
		if err := programs.make(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		// Neither logins of this machine's user nor files beside the examples.
		os.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
		os.Setenv("PYTHONPYCACHEPREFIX", dir)
		return m.Run()
	}())
}

func (b built) make() error {
	for _, tool := range []string{"python3", "nc", "curl", "make", "cc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("the examples cannot be tested: %w", err)
		}
	}
	for _, command := range [][]string{
		{"go", "build", "-o", b.linegatectl, "../cmd/linegatectl"},
		{"make", "-s", "-C", "c", b.device, "CFLAGS=" + strictC + " -g -fsanitize=address,undefined", "DEVICE=" + b.device},
	} {
		if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, output)
		}
	}
	return nil
}

const strictC = "-std=c99 -Wall -Wextra -Werror -pedantic -Wconversion -Wshadow"

// TestDeviceCompiles as its Makefile says, on top of the stricter TestMain.
func TestDeviceCompiles(t *testing.T) {
	device := filepath.Join(t.TempDir(), "device")
	if output, err := exec.Command("make", "-s", "-C", "c", device, "DEVICE="+device).CombinedOutput(); err != nil || len(output) > 0 {
		t.Errorf("%v\n%s", err, output)
	}
}

func TestPythonCompiles(t *testing.T) {
	files, err := filepath.Glob("python/*.py")
	if err != nil || len(files) == 0 {
		t.Fatal("no Python files", err)
	}
	args := append([]string{"-W", "error", "-m", "py_compile"}, files...)
	if output, err := exec.Command("python3", args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
