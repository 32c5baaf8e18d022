package docstest

import (
	"path/filepath"
	"strings"
	"testing"
)

// Every section promises something, and every promise has its test.
func TestPromisesAreProved(t *testing.T) {
	for _, section := range strings.Split(open(t, "reliability.md").text, "\n## ")[1:] {
		name, _, _ := strings.Cut(section, "\n")
		if name == "Fuzzing" || name == "What is not promised" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for _, row := range (document{t, section}).rows("promise", "test", "figure") {
				if row[0] == "" || !mentionsTest.MatchString(row[1]) {
					t.Errorf("no test proves %q", row[0])
				}
			}
		})
	}
}

// Each fuzz target has its line, and inputs that were found and kept.
func TestFuzzTargets(t *testing.T) {
	doc := open(t, "reliability.md")
	documented, real := map[string]bool{}, map[string]bool{}
	for _, row := range doc.rows("what is sent", "by", "promise", "test") {
		for _, name := range quoted(row[3]) {
			documented[name] = true
		}
	}
	for name, files := range testsOf(t, filepath.Join("..", "..")) {
		_, target, _ := strings.Cut(name, ".")
		if !strings.HasPrefix(target, "Fuzz") {
			continue
		}
		real[name] = true
		corpus, err := filepath.Glob(filepath.Join(filepath.Dir(files[0]), "testdata", "fuzz", target, "*"))
		if err != nil || len(corpus) == 0 {
			t.Errorf("%s has no corpus in testdata/fuzz (%v)", name, err)
		}
	}
	sameNames(t, "fuzz target", documented, real)
}
