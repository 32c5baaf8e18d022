package docstest

import (
	"path/filepath"
	"strings"
	"testing"
)

// Every promise has its test.
func TestPromisesAreProved(t *testing.T) {
	doc := open(t, "reliability.md")
	for _, row := range doc.rows("promise", "test", "figure") {
		if row[0] == "" || !mentionsTest.MatchString(row[1]) {
			t.Errorf("no test proves %q", row[0])
		}
	}
}

// Each fuzz target has its line.
func TestFuzzTargets(t *testing.T) {
	doc := open(t, "reliability.md")
	documented, real := map[string]bool{}, map[string]bool{}
	for _, row := range doc.rows("what is sent", "by", "promise", "test") {
		for _, name := range quoted(row[3]) {
			documented[name] = true
		}
	}
	for name := range testsOf(t, filepath.Join("..", "..")) {
		if strings.Contains(name, ".Fuzz") {
			real[name] = true
		}
	}
	sameNames(t, "fuzz target", documented, real)
}
