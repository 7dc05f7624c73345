package spec

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file, far beyond any that people write: the parser recurses.
const (
	maxFile  = 1 << 20
	maxDepth = 64
)

// file is one source of YAML being turned into nodes.
type file struct {
	name    string
	dir     string
	env     Env
	report  *report
	anchors map[string]*node
}

// parse reads the text of one file. It returns nil after reporting a mistake
// that leaves nothing to go on with.
func (f *file) parse(text []byte) *node {
	body, err := document(text)
	if err != nil {
		f.syntax(text, err)
		return nil
	}
	if body == nil {
		f.report.add(Origin{File: f.name}, "", "the file is empty; a pipeline starts with `version: 1`")
		return nil
	}
	f.anchors = map[string]*node{}
	root := f.node(body, "")
	if root.kind == brokenNode {
		f.report.add(root.at, "", "%s", root.problem)
		return nil
	}
	if root.kind != mapNode {
		f.report.add(root.at, "", "want keys and values such as `version: 1`, got %s", root.describe())
		return nil
	}
	return root
}

// document parses text to its one document; nil is an empty one.
func document(text []byte) (body ast.Node, err error) {
	defer func() {
		if p := recover(); p != nil { // the parser's own, on input it was not made for
			err = errors.New("not YAML")
		}
	}()
	if len(text) > maxFile {
		return nil, fmt.Errorf("larger than %d MiB", maxFile>>20)
	}
	tokens := lexer.Tokenize(strings.TrimPrefix(string(text), "\ufeff"))
	if err := shallow(tokens); err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, err
	}
	for _, d := range parsed.Docs {
		if _, directive := d.Body.(*ast.DirectiveNode); directive || d.Body == nil {
			continue
		}
		if body != nil {
			return nil, &yaml.SyntaxError{Message: "a second document; want one document a file", Token: d.Body.GetToken()}
		}
		body = d.Body
	}
	return body, nil
}

// shallow refuses nesting deeper than maxDepth: flow brackets overall, and what
// nests within one line.
func shallow(tokens token.Tokens) error {
	depth, line, inLine := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, inLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			inLine++
		}
		if max(depth, inLine, t.Position.IndentLevel) > maxDepth {
			return &yaml.SyntaxError{Message: fmt.Sprintf("nested deeper than %d levels", maxDepth), Token: t}
		}
	}
	return nil
}

// syntax reports what the parser said, without the excerpt it adds: an excerpt
// may show a secret.
func (f *file) syntax(text []byte, err error) {
	var e yaml.Error
	if !errors.As(err, &e) {
		f.report.add(Origin{File: f.name}, "", "%v", err)
		return
	}
	at, message := f.at(e.GetToken()), e.GetMessage()
	line := ""
	if lines := strings.Split(string(text), "\n"); at.Line > 0 && at.Line <= len(lines) {
		line = lines[at.Line-1]
	}
	switch {
	case strings.Contains(message, "'\t'"):
		message = "a tab in the indentation; YAML wants spaces"
	case strings.Contains(message, "must be specified") && strings.Contains(line, "${"):
		message += "; inside { } and [ ] a variable needs quotes: \"${VAR}\""
	}
	f.report.add(at, "", "not YAML: %s", message)
}

func (f *file) at(t *token.Token) Origin {
	if t == nil || t.Position == nil {
		return Origin{File: f.name}
	}
	return Origin{f.name, t.Position.Line, t.Position.Column}
}

// node converts the value at path.
func (f *file) node(v ast.Node, path string) *node {
	if v == nil {
		return &node{at: Origin{File: f.name}, dir: f.dir}
	}
	n := &node{at: f.at(v.GetToken()), dir: f.dir}
	switch v := v.(type) {
	case *ast.NullNode:
	case *ast.MappingNode:
		f.mapping(n, v.Values, path)
	case *ast.MappingValueNode:
		f.mapping(n, []*ast.MappingValueNode{v}, path)
	case *ast.SequenceNode:
		n.kind = listNode
		for i, item := range v.Values {
			n.items = append(n.items, f.node(item, fmt.Sprintf("%s[%d]", path, i)))
		}
	case *ast.AnchorNode:
		n = f.node(v.Value, path)
		f.anchors[v.Name.GetToken().Value] = n
	case *ast.AliasNode:
		if a := f.anchors[v.Value.GetToken().Value]; a != nil {
			return a
		}
		n.kind, n.problem = brokenNode, "no such anchor above (quote the text if it starts with `*`)"
	case *ast.TagNode:
		n.kind, n.problem = brokenNode, "YAML tags are not supported (quote the text if it starts with `!`)"
	case *ast.StringNode:
		f.scalar(n, v.Value, v.Token.Type == token.StringType)
	case *ast.LiteralNode:
		f.scalar(n, v.Value.Value, false)
	case ast.ScalarNode:
		f.scalar(n, v.GetToken().Value, true)
	default:
		n.kind, n.problem = brokenNode, "not a value that a pipeline has"
	}
	return n
}

func (f *file) scalar(n *node, text string, plain bool) {
	n.kind, n.raw, n.plain = scalarNode, text, plain
	parts, err := expand(text, f.dir, f.env)
	if err != nil {
		n.kind, n.problem = brokenNode, err.Error()
		return
	}
	n.text = whole(parts)
	if slices.ContainsFunc(parts, fromFile) {
		n.parts = parts
	}
}

// mapping fills n; what `<<` brings in comes first and gives way to the map's
// own keys.
func (f *file) mapping(n *node, values []*ast.MappingValueNode, path string) {
	n.kind = mapNode
	own := &node{kind: mapNode}
	for _, v := range values {
		if _, ok := v.Key.(*ast.MergeKeyNode); ok {
			f.mergeKey(n, f.node(v.Value, path), path)
			continue
		}
		at := f.at(v.Key.GetToken())
		key, ok := v.Key.(ast.ScalarNode)
		if !ok {
			f.report.add(at, path, "a key must be a plain word")
			continue
		}
		value := f.node(v.Value, join(path, key.GetToken().Value))
		if value.kind == mapNode || value.kind == listNode {
			c := *value
			c.at = at
			value = &c
		}
		own.entries = append(own.entries, entry{key.GetToken().Value, at, value})
	}
	first := map[string]Origin{}
	for _, e := range own.entries {
		if prev, dup := first[e.key]; dup {
			f.report.add(e.at, join(path, e.key), "the key is already in line %d", prev.Line)
			continue
		}
		first[e.key] = e.at
	}
	n.entries = merge(n, own, false).entries
}

func (f *file) mergeKey(n, from *node, path string) {
	sources := []*node{from}
	if from.kind == listNode {
		sources = from.items
	}
	for _, s := range sources {
		if s.kind != mapNode {
			f.report.add(s.at, join(path, "<<"), "want a map to merge, got %s", s.describe())
			continue
		}
		n.entries = merge(s, n, false).entries
	}
}

// describe says in words what n is, without its text.
func (n *node) describe() string {
	switch n.kind {
	case mapNode:
		return "a map"
	case listNode:
		return "a list"
	case nullNode:
		return "nothing"
	}
	return "a single value"
}
