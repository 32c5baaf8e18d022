package docstest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// The groups of attacks are those of the table that the verifier, the gateway
// and linegatectl are tried with, and each group's tokens end as its line says.
func TestAttackGroups(t *testing.T) {
	doc := open(t, "security.md")
	documented := doc.firsts(doc.rows("group", "outcomes", "answer"))
	outcomes := map[string]map[string]bool{}
	for _, attack := range authtest.NewAttacks(t, authtest.New).Rows {
		if outcomes[attack.Group] == nil {
			outcomes[attack.Group] = map[string]bool{}
		}
		if attack.Outcome != auth.OK { // which each group has
			outcomes[attack.Group][attack.Outcome.String()] = true
		}
	}
	sameNames(t, "group of attacks", documented, outcomes)
	for group, row := range documented {
		sameNames(t, group+": outcome", set(quoted(row[1])), outcomes[group])
	}
}

// pagesOfProofs name the tests that prove what they say.
func pagesOfProofs() []string { return []string{"security.md", "reliability.md"} }

// Every test that is named exists, and every row of it.
func TestNamedTests(t *testing.T) {
	tree, attacks := testsOf(t, filepath.Join("..", "..")), map[string]bool{}
	for _, attack := range authtest.NewAttacks(t, authtest.New).Rows {
		attacks[attack.Group], attacks[attack.String()] = true, true
	}
	for _, name := range pagesOfProofs() {
		t.Run(name, func(t *testing.T) {
			for line := range strings.Lines(open(t, name).text) {
				for _, word := range quoted(line) {
					checkNamed(t, word, tree, attacks)
				}
			}
		})
	}
}

// checkNamed wants the test that a word names, if it names one.
func checkNamed(t *testing.T, word string, tree map[string][]string, attacks map[string]bool) {
	t.Helper()
	if !mentionsTest.MatchString(word) {
		return
	}
	name, row, _ := strings.Cut(word, "/")
	switch files := tree[name]; {
	case len(files) == 0:
		t.Errorf("there is no test %s; want its package's directory, a dot and its name", name)
	case row != "" && !hasRow(t, files, row) && !(strings.Contains(name, "Attacks") && attacks[row]):
		t.Errorf("%s has no row %q", name, row)
	}
}

// hasRow wants each part of a row's name between slashes to be one: go test -run
// compares part by part.
func hasRow(t *testing.T, files []string, row string) bool {
	t.Helper()
	rows := rowsOf(t, files)
	for part := range strings.SplitSeq(row, "/") {
		if !rows[part] {
			return false
		}
	}
	return true
}

// The directories that a page names are those where the named tests are.
func TestNamedPackages(t *testing.T) {
	tree := testsOf(t, filepath.Join("..", ".."))
	for _, name := range pagesOfProofs() {
		t.Run(name, func(t *testing.T) { checkDirectories(t, open(t, name), tree) })
	}
}

func checkDirectories(t *testing.T, doc document, tree map[string][]string) {
	t.Helper()
	directories := map[string]string{}
	for _, row := range doc.rows("packages", "are in") {
		for _, name := range quoted(row[0]) {
			directories[name] = quoted(row[1])[0]
		}
	}
	for line := range strings.Lines(doc.text) {
		for _, word := range quoted(line) {
			name, _, _ := strings.Cut(word, "/")
			for _, file := range tree[name] {
				packageName, _, _ := strings.Cut(name, ".")
				directory := filepath.Join(strings.TrimSuffix(directories[packageName], "/"), packageName)
				if want := filepath.Dir(file); filepath.Join("..", "..", directory) != want {
					t.Errorf("%s is in %s, and the page says %q", name, want, directory)
				}
			}
		}
	}
}

// The commands of the page run what they name, and it passes.
func TestSecurityCommands(t *testing.T) {
	commands := regexp.MustCompile(`(?m)^    go (test \S+ -run (\S+))$`).FindAllStringSubmatch(open(t, "security.md").text, -1)
	if len(commands) == 0 {
		t.Error("there are none")
	}
	for _, command := range commands {
		goTest := exec.CommandContext(t.Context(), "go", append(strings.Fields(command[1]), "-v")...)
		goTest.Dir = filepath.Join("..", "..")
		said, err := goTest.CombinedOutput()
		if err != nil || !strings.Contains(string(said), "=== RUN   "+command[2]) {
			t.Errorf("%s: %v\n%s", command[0], err, said)
		}
	}
}

var (
	mentionsTest = regexp.MustCompile(`\b(Test|Fuzz)[A-Z]`)
	isTest       = regexp.MustCompile(`^(Test|Fuzz)[A-Z]`)
)

// Every answer has its proof: a test, or the reason why there is none.
func TestAnswersAreProved(t *testing.T) {
	doc := open(t, "security.md")
	for _, row := range doc.rows("attack or fault", "answer", "proof") {
		if !mentionsTest.MatchString(row[2]) {
			t.Errorf("no test proves the answer to %q", row[0])
		}
	}
	for _, row := range doc.rows("section", "asks for", "answer", "by, or because") {
		switch {
		case !slices.Contains([]string{"done", "not done", "not applicable"}, row[2]):
			t.Errorf("section %s: the answer %q is none", row[0], row[2])
		case row[2] == "done" && !mentionsTest.MatchString(row[3]):
			t.Errorf("section %s: no test proves that %q is done", row[0], row[1])
		case row[3] == "":
			t.Errorf("section %s: no reason why %q is %s", row[0], row[1], row[2])
		}
	}
}

// testsOf returns the files that declare each test below a directory, by
// "package.TestName", where a package goes by the name of its directory.
func testsOf(t *testing.T, root string) map[string][]string {
	t.Helper()
	tests := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declared := range file.Decls {
			f, ok := declared.(*ast.FuncDecl)
			if ok && f.Recv == nil && isTest.MatchString(f.Name.Name) {
				name := filepath.Base(filepath.Dir(path)) + "." + f.Name.Name
				tests[name] = append(tests[name], path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

// rowsOf returns what may be the name of a row of a test that these files
// declare: a string in them, or a file of testdata.
func rowsOf(t *testing.T, files []string) map[string]bool {
	t.Helper()
	rows := map[string]bool{}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, _ := strconv.Unquote(literal.Value)
				rows[text] = true
			}
			return true
		})
		err = filepath.WalkDir(filepath.Join(filepath.Dir(path), "testdata"), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rows[strings.TrimSuffix(entry.Name(), filepath.Ext(path))] = true
			return nil
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return rows
}
