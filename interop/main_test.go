// Package interop holds linegate against the work of others: a certified
// authorization server, a certified client, a balancer, and a browser. It is a
// module of its own, so that what it needs never enters linegate's, and it knows
// linegate as its users do: by its programs.
//
// make test-interop runs it. Nothing here is ever skipped: a missing tool fails
// the run.
package interop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	if err := needTools(); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "linegate-interop-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir+"/", "./cmd/...")
	build.Dir = ".."
	if output, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("linegate's programs: %w\n%s", err, output)
	}
	// The programs of this tree before any others of the same name, and no
	// variable that changes what they do.
	os.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "LINEGATE") {
			os.Unsetenv(name)
		}
	}
	return m.Run(), nil
}

// oldestNode is the first major version that has all that the two packages use.
const oldestNode = 20

func needTools() error {
	version, err := exec.Command("node", "--version").Output()
	if err != nil {
		return fmt.Errorf("node %d or newer is needed: %w", oldestNode, err)
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(string(version), "v"), ".")
	if n, _ := strconv.Atoi(major); n < oldestNode {
		return fmt.Errorf("node %d or newer is needed, there is %s", oldestNode, strings.TrimSpace(string(version)))
	}
	for _, name := range []string{"oidc-provider", "openid-client"} {
		if _, err := os.Stat(filepath.Join("node_modules", name)); err != nil {
			return fmt.Errorf("npm package %s is missing; make test-interop installs it", name)
		}
	}
	if _, err := haproxy(); err != nil {
		return err
	}
	_, err = chromium()
	return err
}

// haproxy returns the path of the balancer, which may be where only root looks.
func haproxy() (string, error) {
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("haproxy is needed, and there is none in PATH or /usr/sbin")
}

// chromium returns the path of the browser.
func chromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("chromium is needed, and there is none in PATH")
}
