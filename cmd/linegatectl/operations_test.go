package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/linegate/linegate/auth/authtest"
)

// The examples in docs/operations.md do what the page shows, but for ids, ports
// and times. There is one device, which comes back when it is let.
func TestOperationsExamples(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, _ := strings.Cut(string(page), "\n## Sessions and revocations\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	o := operate(t, nil)
	there := o.connect(authtest.Claim("jti", "t-1"))
	real := map[string]string{} // ids, by those on the page
	commands := 0
	for i, block := range strings.Split(chapter, "```") {
		block, console := strings.CutPrefix(block, "console\n")
		if i%2 == 0 || !console {
			continue
		}
		for _, example := range strings.Split(block, "$ ")[1:] {
			line, shown, _ := strings.Cut(example, "\n")
			commands++
			t.Logf("$ %s", line)
			// A pipe's last command is linegatectl, and what comes in is a token.
			command := words(line[strings.LastIndex(line, "|")+1:])
			for i, word := range command {
				if id := real[word]; id != "" {
					command[i] = id
				}
			}
			got := o.run(command[1:]...)
			if got.status != exitOK || got.stderr != "" {
				t.Fatalf("%+v", got)
			}
			shownIDs, gotIDs := anyID.FindAllString(shown, -1), anyID.FindAllString(got.stdout, -1)
			for i, id := range shownIDs {
				if i < len(gotIDs) && real[id] == "" {
					real[id] = gotIDs[i]
				}
			}
			want := varies.ReplaceAllString(anyID.ReplaceAllStringFunc(shown, func(id string) string { return real[id] }), "~")
			if is := varies.ReplaceAllString(got.stdout, "~"); is != want {
				t.Fatalf("got\n%s\nthe page shows\n%s", is, want)
			}
			switch {
			case strings.HasPrefix(shown, "Revoked: "):
				there.ended()
			case command[1] == "kick":
				there.ended()
				there = o.connectWith(there.token)
			case strings.HasSuffix(shown, ": taken back\n"):
				there = o.connectWith(there.token)
			}
		}
	}
	if commands < 8 {
		t.Errorf("%d examples", commands)
	}
}

var (
	anyID = regexp.MustCompile(`\b([A-Z2-7]{26}|[0-9a-f]{16})\b`)
	// varies is what is another on each run, with the space that is left of its column.
	varies = regexp.MustCompile(`(127\.0\.0\.1:\d+|\d{4}-\d\d-\d\dT[\d:.]+Z|\b(\d+h)?(\d+m)?\d+s\b| +)+`)
)

// words splits a command line as a shell does, as far as the examples go.
func words(line string) (all []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			all = append(all, part)
		} else {
			all = append(all, strings.Fields(part)...)
		}
	}
	return all
}
