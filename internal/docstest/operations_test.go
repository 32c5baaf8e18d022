package docstest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/linegate/linegate/wire"
)

// The flags of serve are those that its source declares.
func TestFlags(t *testing.T) {
	doc := open(t, "operations.md")
	documented := doc.firsts(doc.rows("flag", "sets"))
	declared := map[string]bool{}
	for _, call := range calls(t, "cmd/linegate/flags.go") {
		// one, several and flags.String all begin with the flag's name.
		if name, ok := text(call.Args, 0); ok && len(call.Args) > 1 {
			declared["--"+name] = true
		}
	}
	sameNames(t, "flag", documented, declared)
}

// The records of the log are those that the source writes, with their levels,
// and with their attributes as far as a call names them itself.
func TestLogRecords(t *testing.T) {
	doc := open(t, "operations.md")
	documented := doc.firsts(doc.rows("message", "level", "attributes"))
	written := map[string]bool{
		"login refused": true, "renewal refused": true, // chosen by a table
	}
	levels := map[string]string{"Debug": "debug", "Info": "info", "Warn": "warn", "Error": "error", "LogAttrs": "audit"}
	for _, call := range calls(t, "auth/*.go", "session/*.go", "gateway/*.go", "internal/state/*.go", "internal/admin/*.go", "internal/app/*.go", "cmd/linegate/*.go", "internal/oplog/*.go") {
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || levels[method.Sel.Name] == "" {
			continue
		}
		if method.Sel.Name == "LogAttrs" && len(call.Args) > 2 {
			call.Args = call.Args[2:] // behind context and level
		}
		message, ok := text(call.Args, 0)
		if !ok {
			continue
		}
		written[message] = true
		row := documented[message]
		if row == nil {
			continue // sameNames says so
		}
		if row[1] != levels[method.Sel.Name] {
			t.Errorf("%q is logged at %s, the document says %s", message, method.Sel.Name, row[1])
		}
		attributes := strings.FieldsFunc(row[2], func(r rune) bool { return r == ',' || r == ';' || r == ' ' })
		for _, key := range attributeKeys(call.Args[1:]) {
			if !slices.Contains(attributes, key) {
				t.Errorf("%q has an attribute %s that is not documented", message, key)
			}
		}
	}
	sameNames(t, "log message", documented, written)
}

// attributeKeys returns the keys in slog.String("key", v), and in "key", v.
func attributeKeys(args []ast.Expr) (keys []string) {
	for i, arg := range args {
		if call, ok := arg.(*ast.CallExpr); ok {
			if key, ok := text(call.Args, 0); ok {
				keys = append(keys, key)
			}
		} else if key, ok := text(args, i); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// The reasons of closing are the codes of the protocol and the silent ends.
func TestReasonsOfClosing(t *testing.T) {
	doc := open(t, "operations.md")
	silent := map[string]bool{}
	for _, reason := range wire.EndReasons() {
		if !reason.InBye() {
			silent[reason.String()] = true
		}
	}
	sameNames(t, "reason", doc.firsts(doc.rows("reason", "means", "look at")), silent)
}

// Each alert has its line, with its severity, and each gauge that may show something
// amiss has an alert.
func TestAlerts(t *testing.T) {
	doc := open(t, "operations.md")
	documented := doc.firsts(doc.rows("alert", "severity", "means", "do"))
	rules, err := os.ReadFile(filepath.Join("..", "..", "deploy", "prometheus", "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	severity := map[string]string{}
	for _, found := range regexp.MustCompile(`(?s)- alert: (\w+).*?severity: (\w+)`).FindAllSubmatch(rules, -1) {
		severity[string(found[1])] = string(found[2])
	}
	sameNames(t, "alert", documented, severity)
	for name, row := range documented {
		if row[1] != severity[name] || row[2] == "" || row[3] == "" {
			t.Errorf("%s is %s, and has the line %q", name, severity[name], row)
		}
	}
	harmless := []string{"linegate_build_info", "linegate_config_last_reload_success_timestamp_seconds"}
	for name, row := range doc.firsts(doc.rows("metric", "type", "labels", "what it tells")) {
		if row[1] == "gauge" && !slices.Contains(harmless, name) && !bytes.Contains(rules, []byte(name)) {
			t.Errorf("no alert asks for %s", name)
		}
	}
}

// calls returns the function calls in files of the module that are no tests.
func calls(t *testing.T, patterns ...string) (all []*ast.CallExpr) {
	t.Helper()
	for _, pattern := range patterns {
		names, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					all = append(all, call)
				}
				return true
			})
		}
	}
	return all
}

// text returns an argument that is a string as it stands in the source.
func text(args []ast.Expr, i int) (string, bool) {
	if i >= len(args) {
		return "", false
	}
	literal, ok := args[i].(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(literal.Value)
	return value, err == nil
}
