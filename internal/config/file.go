package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parse sets what text holds; name is how errors call it. The root is a
// mapping, or there is nothing but comments.
func (c *Config) parse(name string, text []byte) error {
	c.origins[""] = origin{name, true}
	if line := foreignLine(text); line > 0 {
		return fmt.Errorf("%s:%d: is not UTF-8 text", name, line)
	}
	r := reader{c, name}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if err = r.value("", &doc, reflect.ValueOf(c).Elem(), ""); err != nil {
			return err
		}
		err = decoder.Decode(&more)
		if err == nil {
			return fmt.Errorf("%s:%d: a second document; want one", name, more.Line)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return syntaxError(name, err)
}

// maxFile is the size in bytes above which a file is no configuration.
const maxFile = 1 << 20

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than 1MiB", path)
	}
	return text, err
}

// foreignLine returns the first line with bytes that are not UTF-8 text, for
// which the YAML reader has no line, or 0.
func foreignLine(text []byte) int {
	i := 0
	for i < len(text) {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 || unicode.IsControl(r) && !strings.ContainsRune("\t\n\r\u0085", r) {
			return 1 + bytes.Count(text[:i], []byte("\n"))
		}
		i += size
	}
	return 0
}

// syntaxError turns "yaml: line 3: text" into "name:3: text". An error without
// a line is one of the first.
func syntaxError(name string, err error) error {
	text, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if number, rest, ok := strings.Cut(strings.TrimPrefix(text, "line "), ": "); ok {
		if n, err := strconv.Atoi(number); err == nil {
			text, line = rest, n
			// The library counts lines from 0 where its grammar is
			// concerned, and from 1 elsewhere. The line is where the
			// list or mapping at fault begins.
			if strings.HasPrefix(text, "did not find expected") {
				line++
			}
		}
	}
	if text == "found character that cannot start any token" {
		text += " (a tab?)"
	}
	return fmt.Errorf("%s:%d: %s", name, line, text)
}

// reader walks YAML nodes and the configuration's types side by side. It is
// strict: what it does not set, it refuses.
type reader struct {
	c    *Config
	name string
}

// value sets v, the value of key, from a node of whatever kind v asks for.
func (r reader) value(key string, n *yaml.Node, v reflect.Value, tag reflect.StructTag) error {
	if n.Kind == yaml.DocumentNode {
		return r.value(key, n.Content[0], v, tag)
	}
	if key != "" {
		r.c.origins[key] = r.line(n)
	}
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return r.refuse(key, n, "anchors and aliases are not supported")
	case n.Style&yaml.TaggedStyle != 0:
		return r.refuse(key, n, "tags are not supported")
	case n.ShortTag() == "!!null":
		return r.refuse(key, n, "has no value; leave the key out for its default")
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return r.value(key, n, v.Elem(), tag)
	case reflect.Struct:
		return r.mapping(key, n, func(name string, value *yaml.Node) error {
			field, tag, ok := fieldOf(v, name)
			if !ok {
				return r.refuse(child(key, name), value, "no such key%s", suggestion(v, name))
			}
			return r.value(child(key, name), value, field, tag)
		})
	case reflect.Map:
		v.SetZero()
		if len(n.Content) > 0 {
			v.Set(reflect.MakeMap(v.Type()))
		}
		return r.mapping(key, n, func(name string, value *yaml.Node) error {
			element := reflect.New(v.Type().Elem()).Elem()
			err := r.value(child(key, name), value, element, "")
			v.SetMapIndex(reflect.ValueOf(name), element)
			return err
		})
	case reflect.Slice:
		return r.list(key, n, v)
	}
	return r.scalar(key, n, v, tag)
}

// mapping hands on each pair of a mapping, and refuses a key that comes twice.
// The line of a pair is that of its key.
func (r reader) mapping(key string, n *yaml.Node, set func(string, *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return r.refuse(key, n, "want a mapping of keys to values, got %s", kindOf(n))
	}
	lines := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		name, value := n.Content[i], *n.Content[i+1]
		switch {
		case name.Kind == yaml.AliasNode || name.Anchor != "" || name.ShortTag() == "!!merge":
			return r.refuse(key, name, "anchors, aliases and merge keys are not supported")
		case name.ShortTag() != "!!str":
			return r.refuse(key, name, "want a name as key, got %s", kindOf(name))
		case lines[name.Value] != 0:
			return r.refuse(child(key, name.Value), name, "is set twice, first on line %d", lines[name.Value])
		}
		lines[name.Value] = name.Line
		value.Line = name.Line
		if err := set(name.Value, &value); err != nil {
			return err
		}
	}
	return nil
}

func (r reader) list(key string, n *yaml.Node, v reflect.Value) error {
	if n.Kind != yaml.SequenceNode {
		return r.refuse(key, n, "want a list, got %s", kindOf(n))
	}
	v.SetZero() // an empty list is nil, as one that is absent
	v.Grow(len(n.Content))
	v.SetLen(len(n.Content))
	for i, item := range n.Content {
		setDefaults(v.Index(i))
		if err := r.value(element(key, i), item, v.Index(i), ""); err != nil {
			return err
		}
	}
	return nil
}

func (r reader) scalar(key string, n *yaml.Node, v reflect.Value, tag reflect.StructTag) error {
	if n.Kind != yaml.ScalarNode {
		return r.refuse(key, n, "want a single value, got %s", kindOf(n))
	}
	switch is := n.ShortTag(); {
	case v.Kind() == reflect.String && is != "!!str":
		return r.refuse(key, n, "want a string, got %s; put it in quotes", kindOf(n))
	case v.Kind() == reflect.Bool && is != "!!bool":
		return r.refuse(key, n, "want true or false, got %s", kindOf(n))
	case v.Type() == reflect.TypeFor[int]() && is != "!!int":
		return r.refuse(key, n, "want a whole number, got %s", kindOf(n))
	}
	if err := setValue(v, tag, n.Value); err != nil {
		return r.refuse(key, n, "%w", err)
	}
	return nil
}

func (r reader) line(n *yaml.Node) origin {
	return origin{fmt.Sprintf("%s:%d", r.name, n.Line), true}
}

// refuse names the node's own line, which for a key that comes twice is not
// the line that origins has.
func (r reader) refuse(key string, n *yaml.Node, format string, args ...any) error {
	at := r.line(n).at + ": "
	if key != "" {
		at += printable(key) + ": "
	}
	return fmt.Errorf("%s%w", at, fmt.Errorf(format, args...))
}

// kindOf says what a node is, for an error: "a list", `the number 3`.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return fmt.Sprintf("the number %.64s", n.Value)
	case "!!bool":
		return n.Value
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return fmt.Sprintf("the date %.64s", n.Value)
	}
	return fmt.Sprintf("%.64q", n.Value)
}

// printable bounds a name from the file and escapes what would break the line, or
// would not be seen at its end.
func printable(name string) string {
	quoted := fmt.Sprintf("%.128q", name)
	if plain := quoted[1 : len(quoted)-1]; plain == name && !strings.Contains(name, " ") {
		return plain
	}
	return quoted
}
