package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const hclogPath = "github.com/hashicorp/go-hclog"

// scanner looks through one package for calls of hclog's loggers. It knows them without types: a logger is what is
// declared as hclog.Logger anywhere in the package, or made by hclog.New, Named or With.
type scanner struct {
	fset     *token.FileSet
	pkg      string
	loggers  map[string]bool
	found    map[message]bool
	problems *[]string
}

// scan reads all Go files below root that are not tests. problems are calls that break the rules of logging.
func scan(t *testing.T, root string) (found map[message]bool, problems []string) {
	t.Helper()
	fset := token.NewFileSet()
	packages := map[string][]*ast.File{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "vendor") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		pkg, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		packages[filepath.ToSlash(pkg)] = append(packages[filepath.ToSlash(pkg)], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	found = map[message]bool{}
	for pkg, files := range packages {
		s := &scanner{fset, pkg, map[string]bool{}, found, &problems}
		s.scan(files)
	}
	slices.Sort(problems)
	return found, problems
}

func (s *scanner) scan(files []*ast.File) {
	if !slices.ContainsFunc(files, importsHclog) {
		return
	}
	for _, f := range files {
		ast.Inspect(f, s.declared)
	}
	for before := -1; before != len(s.loggers); { // a logger made from one that a later file declares
		before = len(s.loggers)
		for _, f := range files {
			ast.Inspect(f, s.assigned)
		}
	}
	for _, f := range files {
		ast.Inspect(f, s.called)
	}
}

func importsHclog(f *ast.File) bool {
	return slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == strconv.Quote(hclogPath) })
}

// declared notes fields, parameters and variables of the type hclog.Logger.
func (s *scanner) declared(n ast.Node) bool {
	var names []*ast.Ident
	var typ ast.Expr
	switch n := n.(type) {
	case *ast.Field:
		names, typ = n.Names, n.Type
		if sel, ok := typ.(*ast.SelectorExpr); ok && len(names) == 0 && isLogger(typ) {
			names = []*ast.Ident{sel.Sel} // embedded
		}
	case *ast.ValueSpec:
		names, typ = n.Names, n.Type
	}
	if isLogger(typ) {
		for _, id := range names {
			s.loggers[id.Name] = true
		}
	}
	return true
}

func isLogger(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Logger" && sel.Sel.Name != "InterceptLogger" {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == "hclog"
}

// assigned notes variables and fields that get a logger.
func (s *scanner) assigned(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for i, l := range n.Lhs {
			if len(n.Lhs) == len(n.Rhs) && s.isLog(n.Rhs[i]) {
				s.loggers[last(l)] = true
			}
		}
	case *ast.ValueSpec:
		for i, id := range n.Names {
			if len(n.Names) == len(n.Values) && s.isLog(n.Values[i]) {
				s.loggers[id.Name] = true
			}
		}
	case *ast.KeyValueExpr:
		if id, ok := n.Key.(*ast.Ident); ok && s.isLog(n.Value) {
			s.loggers[id.Name] = true
		}
	}
	return true
}

// isLog reports whether e is a logger.
func (s *scanner) isLog(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		name := last(e)
		return name != "" && name != "_" && s.loggers[name]
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	if x, ok := sel.X.(*ast.Ident); ok && x.Name == "hclog" {
		return slices.Contains([]string{"New", "NewNullLogger", "Default", "L", "FromContext", "NewInterceptLogger"}, sel.Sel.Name)
	}
	return slices.Contains([]string{"Named", "ResetNamed", "With"}, sel.Sel.Name) && s.isLog(sel.X)
}

// last returns the last name of a chain of selectors.
func last(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.ParenExpr:
		return last(e.X)
	}
	return ""
}

var key = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// called judges one call.
func (s *scanner) called(n ast.Node) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return true
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !s.isLog(sel.X) {
		return true
	}
	pos := s.fset.Position(call.Pos())
	bad := func(format string, args ...any) {
		*s.problems = append(*s.problems, fmt.Sprintf("%s:%d: ", pos.Filename, pos.Line)+fmt.Sprintf(format, args...))
	}
	pairs := call.Args
	switch sel.Sel.Name {
	case "Log":
		bad("use Info, Warn, Error or Debug: the level belongs into the documentation")
		return true
	case "Info", "Warn", "Error", "Debug", "Trace":
		if len(call.Args) == 0 {
			bad("%s without a message", sel.Sel.Name)
			return true
		}
		text, ok := literal(call.Args[0])
		switch {
		case !ok:
			bad("the message must be a string literal, the data go into pairs")
		case text == "" || text != strings.TrimSpace(text) || strings.ContainsAny(text, "|\n%") || strings.Trim(text, "`") != text || text[0] >= 'A' && text[0] <= 'Z':
			bad("message %q: fixed lower-case words, no format, no |, no back quote at an end", text)
		case sel.Sel.Name != "Debug" && sel.Sel.Name != "Trace":
			s.found[message{s.pkg, strings.ToLower(sel.Sel.Name), text}] = true
		}
		pairs = pairs[1:]
	case "With":
	default:
		return true
	}
	if call.Ellipsis.IsValid() {
		return true
	}
	if len(pairs)%2 != 0 {
		bad("%d arguments after the message: keys and values come in pairs", len(pairs))
	}
	for i := 0; i < len(pairs); i += 2 {
		if k, ok := literal(pairs[i]); !ok || !key.MatchString(k) {
			bad("key %d must be a literal of lower-case letters, digits and _", i/2+1)
		}
	}
	return true
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}
