package translate

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A module is what one PTX file holds.
type module struct {
	kernels []*kernel
	shared  []variable // that any kernel may use
}

type kernel struct {
	name      string
	params    []string
	registers []register
	shared    []variable // of its own
	body      []instruction
}

// register is a declaration: count registers of a type, numbered from 0.
type register struct {
	typ, prefix string
	count       int
}

// variable lies in shared memory.
type variable struct {
	name        string
	align, size int
}

// instruction is one step, or only a label.
type instruction struct {
	line  int
	label string
	guard string // the predicate it depends on, "" none
	not   bool   // and whether that must be false
	op    string
	args  []string
}

// scanner hands out the pieces of a PTX text, with their lines.
type scanner struct {
	text string
	at   int
	line int // of at
}

var comments = regexp.MustCompile(`//[^\n]*|(?s:/\*.*?\*/)`)

func newScanner(text string) *scanner {
	text = comments.ReplaceAllStringFunc(text, func(c string) string { return strings.Repeat("\n", strings.Count(c, "\n")) })
	return &scanner{text: text, line: 1}
}

func (s *scanner) fail(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...))
}

// space passes over white space and tells whether something is left.
func (s *scanner) space() bool {
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.next()
	}
	return s.at < len(s.text)
}

func (s *scanner) next() byte {
	c := s.text[s.at]
	s.at++
	if c == '\n' {
		s.line++
	}
	return c
}

// until takes what comes before the first of the characters in stops, and that one.
func (s *scanner) until(stops string) (piece string, stop byte, line int) {
	s.space()
	line = s.line
	from := s.at
	for s.at < len(s.text) {
		if c := s.next(); strings.IndexByte(stops, c) >= 0 {
			return strings.TrimSpace(s.text[from : s.at-1]), c, line
		}
	}
	return strings.TrimSpace(s.text[from:]), 0, line
}

var header = regexp.MustCompile(`^\.(version \d|target sm_\d|address_size 64$)`)

func parse(text string) (*module, error) {
	s, m := newScanner(text), &module{}
	for s.space() {
		piece, stop, line := s.until("\n;(")
		switch {
		case stop == '(' && strings.HasPrefix(piece, ".visible .entry "):
			k, err := s.kernel(strings.TrimPrefix(piece, ".visible .entry "))
			if err != nil {
				return nil, err
			}
			m.kernels = append(m.kernels, k)
		case stop == ';' && strings.HasPrefix(piece, ".shared "):
			v, err := s.variable(piece, line)
			if err != nil {
				return nil, err
			}
			m.shared = append(m.shared, v)
		case !header.MatchString(piece):
			return nil, s.fail(line, "%.60q is not known here", piece)
		}
	}
	return m, nil
}

// kernel reads one from behind its name's parenthesis.
func (s *scanner) kernel(name string) (*kernel, error) {
	k := &kernel{name: strings.TrimSpace(name)}
	list, stop, line := s.until(")")
	if stop == 0 {
		return nil, s.fail(line, "kernel %s has no end", k.name)
	}
	for _, p := range strings.Split(list, ",") {
		words := strings.Fields(p)
		if len(words) == 0 && list == "" {
			continue
		}
		if len(words) != 3 || words[0] != ".param" || words[1] != ".u64" {
			return nil, s.fail(line, "kernel %s: parameter %q: a launch copies 8 bytes for each, declare it .u64", k.name, strings.Join(words, " "))
		}
		k.params = append(k.params, words[2])
	}
	if _, stop, line = s.until("{"); stop == 0 {
		return nil, s.fail(line, "kernel %s has no body", k.name)
	}
	return k, s.body(k)
}

// body reads statements up to the brace that ends the kernel.
func (s *scanner) body(k *kernel) error {
	for depth := 1; depth > 0; {
		if !s.space() {
			return s.fail(s.line, "kernel %s has no end", k.name)
		}
		switch s.text[s.at] {
		case '{':
			depth++
			s.next()
			continue
		case '}':
			depth--
			s.next()
			continue
		}
		piece, stop, line := s.until(";:")
		if err := s.statement(k, piece, stop, line); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) statement(k *kernel, piece string, stop byte, line int) error {
	switch {
	case stop == ':':
		k.body = append(k.body, instruction{line: line, label: piece})
	case stop == 0:
		return s.fail(line, "%.60q has no end", piece)
	case strings.HasPrefix(piece, ".reg "):
		r, err := s.register(piece, line)
		k.registers = append(k.registers, r)
		return err
	case strings.HasPrefix(piece, ".shared "):
		v, err := s.variable(piece, line)
		k.shared = append(k.shared, v)
		return err
	case strings.HasPrefix(piece, ".pragma "): // advice to the assembler
	case strings.HasPrefix(piece, "."):
		return s.fail(line, "%.60q is not known here", piece)
	default:
		i, err := s.instruction(piece, line)
		k.body = append(k.body, i)
		return err
	}
	return nil
}

var registers = regexp.MustCompile(`^\.reg \.(\w+)\s+%(\w+)<(\d+)>$`)

func (s *scanner) register(piece string, line int) (register, error) {
	m := registers.FindStringSubmatch(piece)
	if m == nil || ctype[m[1]] == "" {
		return register{}, s.fail(line, "cannot read %.60q", piece)
	}
	n, err := strconv.Atoi(m[3])
	if err != nil || n > 1<<16 {
		return register{}, s.fail(line, "%s registers are too many", m[3])
	}
	return register{m[1], m[2], n}, nil
}

var variables = regexp.MustCompile(`^\.shared (?:\.align (\d+) )?\.(\w+) ([\w$]+)(?:\[(\d+)\])?$`)

func (s *scanner) variable(piece string, line int) (variable, error) {
	m := variables.FindStringSubmatch(piece)
	if m == nil || width[m[2]] == 0 {
		return variable{}, s.fail(line, "cannot read %.60q", piece)
	}
	v := variable{name: m[3], align: width[m[2]], size: width[m[2]]}
	if m[1] != "" {
		v.align, _ = strconv.Atoi(m[1])
	}
	if m[4] != "" {
		n, _ := strconv.Atoi(m[4])
		v.size *= n
	}
	if v.align <= 0 || v.align > 256 || v.size <= 0 || v.size > 48<<10 {
		return variable{}, s.fail(line, "%s: %d bytes aligned to %d are not to be had", v.name, v.size, v.align)
	}
	return v, nil
}

func (s *scanner) instruction(piece string, line int) (instruction, error) {
	i := instruction{line: line}
	if guard, ok := strings.CutPrefix(piece, "@"); ok {
		i.guard, piece, _ = strings.Cut(guard, " ")
		i.guard, i.not = strings.CutPrefix(i.guard, "!")
		piece = strings.TrimSpace(piece)
	}
	words := strings.Fields(piece)
	if len(words) == 0 {
		return i, s.fail(line, "a statement without an operation")
	}
	i.op = words[0]
	i.args = operands(strings.Join(words[1:], " "))
	return i, nil
}

// operands splits at commas that are not within braces.
func operands(text string) []string {
	var args []string
	depth, from := 0, 0
	for n, c := range text {
		switch {
		case c == '{':
			depth++
		case c == '}':
			depth--
		case c == ',' && depth == 0:
			args = append(args, strings.TrimSpace(text[from:n]))
			from = n + 1
		}
	}
	if rest := strings.TrimSpace(text[from:]); rest != "" {
		args = append(args, rest)
	}
	return args
}
