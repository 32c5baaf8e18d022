// Package archtest checks that imports run one way and that each outside
// library has the one importer that the design gives it.
package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/linegate/linegate/"

// rooms says which other rooms each may import outside of its tests. A new
// package fails the test until it has its line here.
var rooms = map[string][]string{
	"wire":    {},
	"auth":    {"internal/cost"},
	"session": {"auth", "wire", "internal/oplog", "internal/steady"},
	"gateway": {"wire", "internal/cost", "internal/proxyheader", "internal/secure", "internal/steady"},
	"client":  {"wire"},

	"auth/authtest":        {"auth", "internal/certtest", "internal/mint"},
	"internal/admin":       {"auth", "wire", "internal/oplog", "internal/state"},
	"internal/certtest":    {},
	"internal/chaos":       {},
	"internal/chart":       {},
	"internal/cost":        {},
	"internal/load":        {"wire", "internal/chart"},
	"internal/logtest":     {},
	"internal/mint":        {},
	"internal/oplog":       {},
	"internal/ops":         {},
	"internal/config":      {},
	"internal/proxyheader": {},
	"internal/state":       {"auth"},
	"internal/secure":      {"internal/steady"},
	"internal/steady":      {},
	"internal/systemd":     {},
	"internal/tcptest":     {},
	"internal/tlstest":     {},
	"internal/devissuer":   {"internal/mint"},
	"internal/app":         {"auth", "gateway", "session", "wire", "internal/admin", "internal/config", "internal/oplog", "internal/ops", "internal/state", "internal/systemd"},

	"bench/compare":    {"internal/chart", "internal/load", "internal/mint"},
	"bench/goserver":   {},
	"examples/backend": {"auth", "gateway", "session"},

	"cmd/linegate":     {"auth", "gateway", "session", "wire", "internal/app", "internal/config", "internal/oplog", "internal/ops", "internal/systemd"},
	"cmd/linegatectl":  {"auth", "client", "wire", "internal/config", "internal/load"},
	"cmd/linegate-dev": {"auth", "gateway", "session", "wire", "internal/app", "internal/config", "internal/devissuer", "internal/mint", "internal/oplog", "internal/ops"},
}

// libraries says which package may import each outside library outside of its
// tests, as path.Match patterns, and whether only in one file of it.
var libraries = map[string]struct {
	importer string
	oneFile  bool
}{
	"github.com/golang-jwt/jwt":           {"auth", true},
	"github.com/lestrrat-go/jwx":          {"auth", true},
	"github.com/pires/go-proxyproto":      {"internal/proxyheader", true},
	"github.com/prometheus/client_golang": {"*", true}, // one metrics file a package
	"github.com/spf13/cobra":              {"cmd/*", false},
	"go.yaml.in/yaml":                     {"internal/config", false},
	"golang.org/x/oauth2":                 {"cmd/linegatectl", false},
	"golang.org/x/sys":                    {"internal/load internal/systemd", false},
	"rsc.io/qr":                           {"cmd/linegatectl", true},
}

func TestImportsRunOneWay(t *testing.T) {
	for file, imports := range sources(t) {
		room := path.Dir(file)
		allowed, known := rooms[room]
		if !known {
			t.Errorf("%s: package %s is not in the table of rooms", file, room)
			continue
		}
		for _, imported := range imports {
			sibling, ok := strings.CutPrefix(imported, module)
			if ok && !slices.Contains(allowed, sibling) {
				t.Errorf("%s imports %s: not a way that imports run", file, sibling)
			}
		}
	}
}

func TestOutsideLibrariesHaveOneImporter(t *testing.T) {
	importers := map[string][]string{} // files, by library and package
	for file, imports := range sources(t) {
		for _, library := range outside(imports) {
			rule, known := libraries[library]
			if !known {
				t.Errorf("%s imports %s: not in the table of libraries", file, library)
				continue
			}
			among := func(pattern string) bool { ok, _ := path.Match(pattern, path.Dir(file)); return ok }
			if !slices.ContainsFunc(strings.Fields(rule.importer), among) && rule.importer != "*" {
				t.Errorf("%s imports %s: left to %s", file, library, rule.importer)
			}
			if rule.oneFile {
				key := library + " in " + path.Dir(file)
				importers[key] = append(importers[key], path.Base(file))
			}
		}
	}
	for key, files := range importers {
		if len(files) > 1 {
			t.Errorf("%s: imported by %v, want one file", key, files)
		}
	}
}

// outside reduces imports to the known library each belongs to, or to itself,
// once each; the standard library and this module are left out.
func outside(imports []string) []string {
	var libs []string
	for _, imported := range imports {
		first, _, _ := strings.Cut(imported, "/")
		if !strings.Contains(first, ".") || strings.HasPrefix(imported, module) {
			continue
		}
		for library := range libraries {
			if strings.HasPrefix(imported, library+"/") || imported == library {
				imported = library
			}
		}
		libs = append(libs, imported)
	}
	slices.Sort(libs)
	return slices.Compact(libs)
}

// sources returns the imports of every Go file of the module that is not a
// test, by its path from the module's root.
func sources(t *testing.T) map[string][]string {
	const root = "../.."
	files := map[string][]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == ".git") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		var imports []string
		for _, spec := range syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, imported)
		}
		files[filepath.ToSlash(rel)] = imports
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go files found under the module's root")
	}
	return files
}
