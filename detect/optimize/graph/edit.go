package graph

import (
	"errors"
	"fmt"
	"slices"
)

// check makes sure that every value is made once and before it is used, so that
// what changes the graph may rely on it.
func (g *Graph) check() error {
	made := map[string]bool{"": true}
	for name := range g.Tensors {
		made[name] = true
	}
	for _, p := range g.Inputs {
		if p.Name == "" {
			return errors.New("an input has no name")
		}
		made[p.Name] = true
	}
	for _, n := range g.Nodes {
		for _, in := range n.Inputs {
			if !made[in] {
				return fmt.Errorf("node %q (%s) uses %q, which nothing before it makes", n.Name, n.Op, in)
			}
		}
		if len(n.Outputs) == 0 {
			return fmt.Errorf("node %q (%s) makes nothing", n.Name, n.Op)
		}
		for _, out := range n.Outputs {
			if out != "" && made[out] {
				return fmt.Errorf("node %q (%s) makes %q, which is there already", n.Name, n.Op, out)
			}
			made[out] = true
		}
	}
	for _, p := range g.Outputs {
		if p.Name == "" || !made[p.Name] {
			return fmt.Errorf("nothing makes the output %q", p.Name)
		}
	}
	return nil
}

// Maker is the node that makes a value, nil where none does.
func (g *Graph) Maker(value string) *Node {
	for _, n := range g.Nodes {
		if value != "" && slices.Contains(n.Outputs, value) {
			return n
		}
	}
	return nil
}

// Users are the nodes that use a value, in the order of the graph.
func (g *Graph) Users(value string) []*Node {
	var users []*Node
	for _, n := range g.Nodes {
		if slices.Contains(n.Inputs, value) {
			users = append(users, n)
		}
	}
	return users
}

// IsOutput tells whether a value leaves the graph.
func (g *Graph) IsOutput(value string) bool {
	return slices.ContainsFunc(g.Outputs, func(p Port) bool { return p.Name == value })
}

// Alone tells whether a value is used by one node only, and nothing else.
func (g *Graph) Alone(value string) bool {
	uses := 0
	for _, n := range g.Nodes {
		for _, in := range n.Inputs {
			if in == value {
				uses++
			}
		}
	}
	return uses == 1 && !g.IsOutput(value)
}

// Redirect makes all users of a value use another. It does not touch the graph's
// outputs.
func (g *Graph) Redirect(from, to string) {
	for _, n := range g.Nodes {
		for i, in := range n.Inputs {
			if in == from {
				n.Inputs[i] = to
			}
		}
	}
}

// Remove takes a node out. What used its outputs must have been redirected.
func (g *Graph) Remove(n *Node) {
	g.Nodes = slices.DeleteFunc(g.Nodes, func(m *Node) bool { return m == n })
}

// Sweep removes the nodes and constants that no output depends on, and tells how
// many nodes that were.
func (g *Graph) Sweep() (removed int) {
	needed := map[string]bool{}
	for _, p := range g.Outputs {
		needed[p.Name] = true
	}
	kept := make([]*Node, 0, len(g.Nodes))
	for _, n := range slices.Backward(g.Nodes) {
		if !slices.ContainsFunc(n.Outputs, func(out string) bool { return needed[out] }) {
			removed++
			continue
		}
		kept = append(kept, n)
		for _, in := range n.Inputs {
			needed[in] = true
		}
	}
	slices.Reverse(kept)
	g.Nodes = kept
	for name := range g.Tensors {
		if !needed[name] {
			delete(g.Tensors, name)
		}
	}
	return removed
}

// Fresh is a name like base that nothing has yet.
func (g *Graph) Fresh(base string) string {
	taken := func(name string) bool {
		return g.Tensors[name] != nil || g.Maker(name) != nil ||
			slices.ContainsFunc(g.Inputs, func(p Port) bool { return p.Name == name })
	}
	name := base
	for i := 2; taken(name); i++ {
		name = fmt.Sprintf("%s_%d", base, i)
	}
	return name
}
