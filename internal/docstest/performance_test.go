package docstest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	generator "github.com/linegate/linegate/internal/load"
)

// The modes of the page are those that there are, and the flags that it names
// are declared.
func TestLoadGenerator(t *testing.T) {
	doc := open(t, "performance.md")
	modes := map[string]bool{}
	for _, mode := range generator.Modes() {
		modes[string(mode)] = true
	}
	sameNames(t, "mode", doc.firsts(doc.rows("mode", "does")), modes)

	declared := []string{"--help"}
	for _, call := range calls(t, "cmd/linegatectl/*.go") {
		for i := range call.Args {
			if name, ok := text(call.Args, i); ok {
				declared = append(declared, "--"+name)
			}
		}
	}
	for _, name := range regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(doc.text, -1) {
		if !slices.Contains(declared, name) {
			t.Errorf("the page has %s, and linegatectl has no such flag", name)
		}
	}
}

// What the page links to is there.
func TestPerformanceLinks(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(open(t, "performance.md").text, -1)
	if len(links) == 0 {
		t.Fatal("no links")
	}
	for _, link := range links {
		if strings.Contains(link[1], "://") {
			continue
		}
		if section, ok := strings.CutPrefix(link[1], "#"); ok {
			heading := "\n## " + strings.ReplaceAll(section, "-", " ") + "\n"
			if !strings.Contains(strings.ToLower(open(t, "performance.md").text), heading) {
				t.Errorf("no section %s", section)
			}
			continue
		}
		if _, err := os.Stat(filepath.Join("..", "..", "docs", link[1])); err != nil {
			t.Error(err)
		}
	}
}
