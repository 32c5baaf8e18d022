package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// FuzzFile: whatever is in the file, it is a configuration, and what is printed of
// it is the same one, or there is one line that names the file, with the line at
// fault if it is in the file.
func FuzzFile(f *testing.F) {
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(names) == 0 {
		f.Fatalf("no files: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{
		"", minimal, "listen: [{address: '[::1]:0'}, {address: 127.0.0.1:x}]\n", minimal + "session: {max_line: 1GiB, max_outbound: 1GiB}\n",
		minimal + "log: {level: &a info, format: *a}\n", minimal + "log:\n  <<: {level: info}\n", "? [a]\n: b\n", "a: !!binary x\n", "- \xff\n", "a: \x00\n",
		minimal + "    required_claims: {\"\\n\": [\"\\u2028\"]}\n", minimal + "drain: {timeout: 1h0m0.000000001s}\n", "log: {level: 'x\ny'}\r\nlog: {}\r",
		strings.Repeat("[", 200), strings.Repeat("a: {", 200), "a:\u0085b: c\u2028d", "%YAML 1.1\n---\n", minimal + "---\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parsed(text)
		if err != nil {
			checkComplaint(t, err.Error(), text)
			return
		}
		printed, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parsed(printed)
		if err != nil {
			t.Fatalf("%v\n%s", err, printed)
		}
		c.origins, again.origins = nil, nil
		if !reflect.DeepEqual(c, again) {
			t.Fatalf("%+v\nis printed as\n%s\nwhich is %+v", c, printed, again)
		}
	})
}

// parsed is what Load does with the text of a file, without looking at others.
func parsed(text []byte) (*Config, error) {
	c := Default()
	if err := c.parse("linegate.yaml", text); err != nil {
		return nil, err
	}
	_, err := c.Validate()
	return c, err
}

// lineBreaks are those of YAML 1.1, the longest first.
var (
	lineBreaks = regexp.MustCompile("\r\n|\r|\n|\u0085|\u2028|\u2029")
	complaint  = regexp.MustCompile(`^linegate\.yaml:(?:([0-9]+):)? \S`)
)

func checkComplaint(t *testing.T, text string, file []byte) {
	t.Helper()
	found := complaint.FindStringSubmatch(text)
	if found == nil || strings.ContainsFunc(text, unicode.IsControl) || len(text) > 4096 {
		t.Fatalf("complains %q", text)
	}
	last := 2 + len(lineBreaks.FindAllIndex(file, -1)) // where the file is at its end
	if line, _ := strconv.Atoi(found[1]); found[1] != "" && (line < 1 || line > last) {
		t.Fatalf("there is no line %d: %s", line, text)
	}
}
