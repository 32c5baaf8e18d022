package docstest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// page returns the path of a page of docs.
func page(name string) string { return filepath.Join("..", "..", "docs", name) }

// document is a page of docs.
type document struct {
	t    *testing.T
	text string
}

func open(t *testing.T, name string) document {
	t.Helper()
	text, err := os.ReadFile(page(name))
	if err != nil {
		t.Fatal(err)
	}
	return document{t, string(text)}
}

// rows returns the rows of all tables whose header is as given, cells trimmed.
func (d document) rows(header ...string) [][]string {
	d.t.Helper()
	var rows [][]string
	inTable := false
	for line := range strings.Lines(d.text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			inTable = false
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case strings.Join(cells, "|") == strings.Join(header, "|"):
			inTable = true
		case inTable && !strings.HasPrefix(line, "| ---"):
			if len(cells) != len(header) {
				d.t.Fatalf("a row with %d cells: %s", len(cells), line)
			}
			rows = append(rows, cells)
		}
	}
	if len(rows) == 0 {
		d.t.Fatalf("no table %q", header)
	}
	return rows
}

// quoted returns what a cell has in backquotes.
func quoted(cell string) []string {
	var words []string
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			words = append(words, part)
		}
	}
	return words
}

// firsts returns each row by what is quoted in its first cell, which may be
// more than one name.
func (d document) firsts(rows [][]string) map[string][]string {
	d.t.Helper()
	named := map[string][]string{}
	for _, row := range rows {
		names := quoted(row[0])
		if len(names) == 0 {
			d.t.Errorf("a row that names nothing: %v", row)
		}
		for _, name := range names {
			if named[name] != nil {
				d.t.Errorf("%s has two rows", name)
			}
			named[name] = row
		}
	}
	return named
}

// sameNames reports what only one of two sets has.
func sameNames[A, B any](t *testing.T, what string, documented map[string]A, real map[string]B) {
	t.Helper()
	for name := range documented {
		if _, ok := real[name]; !ok {
			t.Errorf("%s %s is documented, and there is none", what, name)
		}
	}
	for name := range real {
		if _, ok := documented[name]; !ok {
			t.Errorf("%s %s is not documented", what, name)
		}
	}
}
