package layout

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Nothing is lost without being counted. In the packages that events, packets and
// pictures pass through, each place of a shape in which data vanish needs, in the
// same block, a counter (++, +=, or a call whose name says so: see counting), the
// return of an error, or the comment "// not lost: WHY" there or on the line before.
// What was taken over by an assignment of the same block before is not lost. The
// shapes:
//
//	give up  select { case queue <- x: default: … }     the default, or any case beside a send
//	drain    for range queue {}                         a channel emptied into nothing
//	cut      s.queue = s.queue[n:], s.queue[:0], nil    what a struct holds, cut or emptied; clear(s.queue)
//	pass     for … range events { if … { continue } }   an element passed over, or a bare return
//	ring     s.last[n%len(s.last)] = x                  an element written over
var dropFolders = []string{"pipelines", "sink", "web", "ingest", "decode"}

// counting are the names of functions that count, or hand on to who does, and of what
// they fill.
var counting = regexp.MustCompile(`(?i)^(.*(count|drop|skip|undecode|discard|refus|abandon|give.?up|gone|lost|lose|account|settle|fault|fail|error).*|Add|Inc|Warn|Release)$`)

// elements are the names of what may not vanish from a loop.
var elements = regexp.MustCompile(`(?i)^(events|packets|frames|records|items|messages|batch|rows|units|lane|queue|waiting|flight|pending)$`)

const excuse = "not lost: "

func TestNoUncountedDrops(t *testing.T) {
	fields := map[string]map[string]bool{}
	all := sources(t)
	for _, s := range all {
		if fields[s.folder()] == nil {
			fields[s.folder()] = map[string]bool{}
		}
		collections(s.file, fields[s.folder()])
	}
	for _, s := range all {
		if s.test() || !within(s.folder(), dropFolders) || below(s.folder(), "pipelines/spec") { // YAML is no event
			continue
		}
		d := drops{fset: s.fset, fields: fields[s.folder()]}
		for _, found := range d.find(commented(t, s)) {
			t.Errorf("%s:%d: %s: count it, or say why nothing is lost (// %sWHY)", s.path, found.line, found.what, excuse)
		}
	}
}

// commented parses a file again, with its comments.
func commented(t *testing.T, s source) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(s.fset, s.path, s.text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// plain are element types of which nothing is one event, packet or picture.
var plain = []string{"byte", "bool", "string", "int", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64", "float32", "float64"}

// collections notes the names of struct fields that are slices or maps of what is
// not plain.
func collections(file *ast.File, into map[string]bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				var of ast.Expr
				switch t := f.Type.(type) {
				case *ast.ArrayType:
					of = t.Elt
				case *ast.MapType:
					of = t.Value
				}
				if of != nil && !slices.Contains(plain, last(of)) {
					for _, name := range f.Names {
						into[name.Name] = true
					}
				}
			}
		}
		return true
	})
}

type drops struct {
	fset    *token.FileSet
	fields  map[string]bool // of the package, that hold several things
	excused map[int]bool    // lines
	before  []ast.Stmt      // of the block, the statements before the one that is looked at
	found   []dropped
}

type dropped struct {
	line int
	what string
}

func (d *drops) find(file *ast.File) []dropped {
	d.excused = map[int]bool{}
	for _, group := range file.Comments {
		if strings.Contains(group.Text(), excuse) {
			for line := d.line(group.Pos()); line <= d.line(group.End())+1; line++ {
				d.excused[line] = true
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectStmt:
			d.giveUp(n)
		case *ast.RangeStmt:
			d.drain(n)
			d.pass(n)
		case *ast.BlockStmt:
			d.cuts(n.List)
		case *ast.CaseClause:
			d.cuts(n.Body)
		case *ast.CommClause:
			d.cuts(n.Body)
		}
		return true
	})
	return d.found
}

func (d *drops) line(p token.Pos) int { return d.fset.Position(p).Line }

// tell notes a shape, unless its block counts or it is excused.
func (d *drops) tell(at ast.Node, block []ast.Stmt, what string) {
	for line := d.line(at.Pos()); line <= d.line(at.End()); line++ {
		if d.excused[line] {
			return
		}
	}
	if !counts(block) {
		d.found = append(d.found, dropped{d.line(at.Pos()), what})
	}
}

// counts tells whether a statement of the block itself counts.
func counts(block []ast.Stmt) (yes bool) {
	for _, s := range block {
		ast.Inspect(s, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.IncDecStmt:
				yes = yes || n.Tok == token.INC
			case *ast.AssignStmt:
				yes = yes || n.Tok == token.ADD_ASSIGN || slices.ContainsFunc(n.Lhs, func(e ast.Expr) bool { return counting.MatchString(last(e)) })
			case *ast.CallExpr:
				yes = yes || counting.MatchString(last(n.Fun))
			case *ast.ReturnStmt:
				yes = yes || len(n.Results) > 0 && last(n.Results[len(n.Results)-1]) != "nil" && !isTruth(n.Results[len(n.Results)-1])
			}
			return !yes
		})
	}
	return yes
}

func isTruth(e ast.Expr) bool { return last(e) == "true" || last(e) == "false" }

// last is the last name of x.y.name.
func last(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func (d *drops) giveUp(s *ast.SelectStmt) {
	sends := func(c ast.Stmt) bool {
		send, ok := c.(*ast.CommClause).Comm.(*ast.SendStmt)
		return ok && d.text(send.Value) != "struct{}{}" // which says nothing but that something happened
	}
	if !slices.ContainsFunc(s.Body.List, sends) {
		return
	}
	for _, c := range s.Body.List {
		if clause := c.(*ast.CommClause); !sends(c) {
			d.tell(clause, clause.Body, "a send that is given up")
		}
	}
}

func (d *drops) drain(r *ast.RangeStmt) {
	if r.Key == nil && len(r.Body.List) == 0 {
		d.tell(r, nil, "a channel that is drained")
	}
}

func (d *drops) pass(r *ast.RangeStmt) {
	if !elements.MatchString(last(r.X)) {
		return
	}
	ast.Inspect(r.Body, func(n ast.Node) bool {
		var block []ast.Stmt
		switch n := n.(type) {
		case *ast.RangeStmt, *ast.ForStmt, *ast.FuncLit:
			return false
		case *ast.BlockStmt:
			block = n.List
		case *ast.CaseClause:
			block = n.Body
		}
		for _, s := range block {
			branch, ok := s.(*ast.BranchStmt)
			if ok && branch.Tok == token.CONTINUE {
				d.tell(s, block, "an element that is passed over")
			}
			if back, ok := s.(*ast.ReturnStmt); ok && len(back.Results) == 0 {
				d.tell(s, block, "elements that are left behind")
			}
		}
		return true
	})
}

// cuts looks for collections in structs that lose elements.
func (d *drops) cuts(block []ast.Stmt) {
	for i, s := range block {
		d.before = block[:i]
		switch s := s.(type) {
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok && last(call.Fun) == "clear" && len(call.Args) == 1 && d.held(call.Args[0]) {
				d.tell(s, block, d.text(s)+" empties a collection")
			}
		case *ast.AssignStmt:
			for i, to := range s.Lhs {
				if len(s.Rhs) == len(s.Lhs) && s.Tok == token.ASSIGN {
					d.cut(s, to, s.Rhs[i], block)
				}
			}
		}
	}
}

func (d *drops) cut(s *ast.AssignStmt, to, from ast.Expr, block []ast.Stmt) {
	if at, ok := to.(*ast.IndexExpr); ok {
		if n, ok := at.Index.(*ast.BinaryExpr); ok && n.Op == token.REM && d.held(at.X) {
			d.tell(s, block, d.text(s)+" writes over an element")
		}
		return
	}
	if !d.held(to) {
		return
	}
	if part, ok := from.(*ast.SliceExpr); ok && d.text(part.X) == d.text(to) {
		d.tell(s, block, d.text(s)+" cuts a collection")
	}
	if id, ok := from.(*ast.Ident); ok && id.Name == "nil" {
		d.tell(s, block, d.text(s)+" empties a collection")
	}
}

// held tells whether e is a collection that a struct holds, and that no statement
// of the block has just taken over.
func (d *drops) held(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || !d.fields[s.Sel.Name] {
		return false
	}
	name, taken := d.text(e), false
	for _, b := range d.before {
		assign, ok := b.(*ast.AssignStmt)
		if !ok {
			continue
		}
		for _, from := range assign.Rhs {
			ast.Inspect(from, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && last(call.Fun) == "len" {
					return false
				}
				x, ok := n.(*ast.SelectorExpr)
				taken = taken || ok && d.text(x) == name
				return true
			})
		}
	}
	return !taken
}

func (d *drops) text(n ast.Node) string {
	var b bytes.Buffer
	printer.Fprint(&b, d.fset, n)
	return b.String()
}

// The lint finds what is planted, and nothing that is counted or excused.
func TestDropsAreFound(t *testing.T) {
	const head = "package p\ntype q struct { queue []*int; ch chan int; lost int; p *int }\nfunc (s *q) f(events []*int, x int, ch chan int) {\n"
	for body, want := range map[string]int{
		"select { case ch <- x: default: }":                           1,
		"select { case ch <- x: default: s.lost++ }":                  0,
		"select { case ch <- x: default: s.drop(x) }":                 0,
		"select { case ch <- x: case <-s.ch: return }":                1,
		"select { case ch <- x:\n// not lost: told below\ndefault: }": 0,
		"select { case ch <- struct{}{}: default: }":                  0,
		"select { case <-ch: default: }":                              0,
		"for range ch {}":                                             1,
		"for range ch {} // not lost: only signals":                   0,
		"for range ch { s.lost++ }":                                   0,
		"s.queue = s.queue[1:]":                                       1,
		"s.queue = s.queue[:0]":                                       1,
		"s.queue = nil":                                               1,
		"all := s.queue; s.queue = nil; _ = all":                      0,
		"n := len(s.queue); s.queue = nil; _ = n":                     1,
		"s.p = nil":                             0,
		"clear(s.queue)":                        1,
		"s.lost += len(s.queue); s.queue = nil": 0,
		"s.queue[x%len(s.queue)] = &x":          1,
		"events = events[1:]":                   0,
		"for _, e := range events { if e == nil { continue } }":               1,
		"for _, e := range events { if e == nil { s.lost++; continue } }":     0,
		"for _, e := range events { if e == nil { return } }":                 1,
		"for _, e := range events { for range 3 { if e == nil { continue }}}": 0,
		"for _, e := range events { switch { case e == nil: continue } }":     1,
		"for i := range x { if i == 1 { continue } }":                         0,
	} {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "p.go", head+body+"\n}", parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		d := drops{fset: fset, fields: map[string]bool{}}
		collections(file, d.fields)
		if found := d.find(file); len(found) != want {
			t.Errorf("%s: found %s, want %d", body, fmt.Sprint(found), want)
		}
	}
}
