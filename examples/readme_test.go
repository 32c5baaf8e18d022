//go:build examples

package examples

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadme: the files that the page names are there.
func TestReadme(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(page), -1)
	for _, link := range links {
		if _, err := os.Stat(link[1]); err != nil {
			t.Error(err)
		}
	}
	for _, word := range regexp.MustCompile(`examples/\S+\.(?:sh|py)`).FindAllString(string(page), -1) {
		if _, err := os.Stat(strings.TrimPrefix(word, "examples/")); err != nil {
			t.Error(err)
		}
	}
	if len(links) == 0 {
		t.Error("no links")
	}
}
