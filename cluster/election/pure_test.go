package election_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPackageIsPure holds the package to its sentence: values in, values out. Otherwise the model would prove nothing.
func TestPackageIsPure(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if path, _ := strconv.Unquote(i.Path.Value); !slices.Contains([]string{"cmp", "slices", "time"}, path) {
				t.Errorf("%s imports %s; cmp, slices and time are allowed", set.Position(i.Pos()), path)
			}
		}
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
				t.Errorf("%s: a package variable", set.Position(d.Pos()))
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.SendStmt, *ast.SelectStmt:
				t.Errorf("%s: a goroutine or a channel", set.Position(n.Pos()))
			case *ast.SelectorExpr:
				pkg, ok := n.X.(*ast.Ident)
				if ok && pkg.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}, n.Sel.Name) {
					t.Errorf("%s: time.%s reads or waits for a clock; the time is an argument", set.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}

// TestEveryReasonHasASentence finds the constants in the source, so that none can be forgotten.
func TestEveryReasonHasASentence(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]string{}
	said := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			name := n.Names[0].Name
			word, err := strconv.Unquote(n.Values[0].(*ast.BasicLit).Value)
			if err != nil || word == "" || strings.ToLower(word) != word {
				t.Errorf("%s = %q", name, word)
			}
			if other, ok := words[word]; ok {
				t.Errorf("%s and %s are both %q", name, other, word)
			}
			words[word] = name
			if n.Comment.Text() == "" {
				t.Errorf("%s has no comment", name)
			}
		case *ast.CaseClause:
			for _, e := range n.List {
				said[e.(*ast.Ident).Name] = true
			}
		}
		return true
	})
	for _, name := range words {
		if !said[name] {
			t.Errorf("%s has no sentence", name)
		}
	}
	if len(words) < 30 {
		t.Errorf("found %d reasons only", len(words))
	}
}
