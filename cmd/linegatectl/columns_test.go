package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// What a stranger chose is one word on one line, and tells what it was.
func TestCell(t *testing.T) {
	for value, want := range map[string]string{
		"alice":                 "alice",
		"auth0|5f7c8ec7c33c6c":  "auth0|5f7c8ec7c33c6c",
		"陈小明":                   "陈小明",
		"":                      "-",
		"-":                     `"-"`,
		"two words":             `"two words"`,
		"a  main  b":            `"a  main  b"`,
		"a\nFAKE":               `"a\nFAKE"`,
		"a\r\x1b[2J\a":          `"a\r\x1b[2J\a"`,
		"a\u009b2J":             `"a\u009b2J"`,
		"a\u202egnp.exe":        `"a\u202egnp.exe"`,
		"a\u2028b":              `"a\u2028b"`,
		"a\u3000b\u00a0c":       `"a\u3000b\u00a0c"`,
		"\xff\xfe":              `"\xff\xfe"`,
		"\ufffd":                `"` + "\ufffd" + `"`,
		`C:\x`:                  `"C:\\x"`,
		`"quoted"`:              `"\"quoted\""`,
		"a\x00b\x7f":            `"a\x00b\x7f"`,
		"a\U000e0041\U0001f600": `"a\U000e0041` + "\U0001f600" + `"`,
	} {
		if got := cell(value); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

// Columns stay in line, also when a later page is wider.
func TestColumns(t *testing.T) {
	var out strings.Builder
	table := columns{w: &out}
	for _, page := range [][][]string{{{"ID", "NAME", "X"}, {"1", "陈", "x"}}, {{"10000", "b", "yy"}}, {}, {{"2", "c", "z"}}} {
		if err := table.write(page...); err != nil {
			t.Fatal(err)
		}
	}
	want := "ID  NAME  X\n1   陈     x\n10000  b     yy\n2      c     z\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// A line of JSON means what the value meant, and shows what it has.
func TestJSONLine(t *testing.T) {
	for value, want := range map[string]string{
		"{ \"a\": [1,\n 2e3] }":         `{"a":[1,2e3]}`,
		`"陈 \u001b \n"`:                 `"陈 \u001b \n"`,
		"\"\u009b \u202e \x7f \u00a0\"": `"\u009b \u202e \u007f \u00a0"`,
		"\"\U000e0041 \U0001f600 \"":    `"\udb40\udc41 ` + "\U0001f600" + ` "`,
		"\"\xff\"":                      "\"\ufffd\"",
		"{\"\u2028\":\"<>&\"}":          `{"\u2028":"<>&"}`,
	} {
		got, err := jsonLine(json.RawMessage(value))
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", value, got, err, want)
		}
		var before, after any
		if json.Unmarshal([]byte(value), &before) != nil || json.Unmarshal([]byte(got), &after) != nil {
			t.Fatal("not JSON")
		}
		if a, b := mustJSON(t, before), mustJSON(t, after); a != b {
			t.Errorf("%s became %s", a, b)
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
