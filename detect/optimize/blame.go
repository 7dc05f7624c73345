package optimize

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"sightline/detect/optimize/graph"
)

// refusal is how engines word that they have no such operator, untyped that they have
// it, but not as the node wants it.
var (
	refusal = regexp.MustCompile(`not a registered function|No Op registered|No conversion rule`)
	untyped = regexp.MustCompile(`Could not find an implementation for ([\w.]+)\(\d+\) node with name '([^']*)'`)
)

// blame names the operator that an engine lacks, and its node, in place of the engine's
// own words, where they are about one in the network's file at path.
func blame(err error, path string) error {
	text := err.Error()
	if m := untyped.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("it has no operator %s of the version and the kind of numbers that node %q of the network wants: "+
			"export it in 32-bit floats, or choose another engine", m[1], m[2])
	}
	if !refusal.MatchString(text) {
		return err
	}
	data, unread := os.ReadFile(path)
	if unread != nil {
		return err
	}
	m, unread := graph.Read(data)
	if unread != nil {
		return err
	}
	words := strings.FieldsFunc(text, func(c rune) bool { return c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	for _, n := range m.Graph.Nodes {
		if !slices.Contains(words, n.Op) {
			continue
		}
		op := n.Op
		if n.Domain != "" {
			op = n.Domain + "." + op
		}
		return fmt.Errorf("it has no operator %s, which node %q of the network is: export the network without it, or choose another engine", op, n.Name)
	}
	return err
}
