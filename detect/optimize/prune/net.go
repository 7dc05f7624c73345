// Package prune takes channels out of convolutional networks and makes up for them
// in closed form: what a channel said is said by those that stay, as far as pictures
// of one scene show that it can be.
//
// Trace follows channels through a network and finds the groups of them that go
// together; Rank orders a group's channels by what their loss costs (optimal brain
// surgeon, by blocks: Hassibi and Stork 1993, Frantar and Alistarh 2022); Plan takes
// the least loss for each multiply-add; Refit gives what is left the weights with
// which it computes most nearly what the original did. The package computes and
// changes graphs only: who runs the networks hands in what they gave.
package prune

import (
	"fmt"
	"slices"
	"strings"

	"sightline/detect/optimize/graph"
)

// Net is a network whose channels are known. It does not change, and its graph must
// not.
type Net struct {
	Graph  *graph.Graph
	Groups []Group
	// Pinned names the convolutions whose outputs all stay, and why.
	Pinned []string

	convs    []*Conv
	lists    map[string][]int // of a value, the class of each channel; nil: not followed
	followed int              // channels in lists
	known    map[string][]int64
	weights  map[*graph.Tensor][]float32
	trims    []trim
	windows  []window
	parent   []int // union-find over channels
	pinned   map[int]string
}

// Group is channels that are alike to all who make or use them, one class for each:
// a class is channels of several convolutions that only go together.
type Group struct {
	Name    string // of the convolution that makes it, the first one
	Classes []int
	convs   []int // that use it, by index
}

// Set is classes, those that are removed.
type Set map[int]bool

// trim is a constant that has something for each channel, besides weights.
type trim struct {
	node  *graph.Node
	input int
	axis  int   // of the constant
	list  []int // classes along it
}

// Trace follows channels through a simplified network, whose values have the known
// dimensions. Where an operator does anything but carry channels on, one by one,
// those it takes stay.
func Trace(g *graph.Graph, known map[string][]int64) *Net {
	n := &Net{Graph: g, lists: map[string][]int{}, weights: map[*graph.Tensor][]float32{}, known: known, pinned: map[int]string{}}
	for _, p := range g.Inputs {
		n.opaque(p.Name, "the input")
	}
	for _, node := range g.Nodes {
		n.follow(node)
	}
	for _, p := range g.Outputs {
		for _, c := range n.lists[p.Name] {
			n.pinned[c] = "an output" // whatever else looks at it
		}
	}
	n.settle()
	n.group()
	return n
}

// fresh makes new channels.
func (n *Net) fresh(count int) []int {
	list := make([]int, count)
	for i := range list {
		list[i] = len(n.parent)
		n.parent = append(n.parent, list[i])
	}
	return list
}

// opaque gives a value of four dimensions channels that stay.
func (n *Net) opaque(value, why string) {
	delete(n.lists, value)
	if dims := n.known[value]; len(dims) == 4 && dims[1] > 0 && dims[1] <= maxChannels && n.followed <= maxFollowed {
		n.lists[value] = n.fresh(int(dims[1]))
		n.pin(value, why)
	}
}

// pin makes a value's channels stay.
func (n *Net) pin(value, why string) {
	for _, c := range n.lists[value] {
		if n.pinned[c] == "" {
			n.pinned[c] = why
		}
	}
}

// barrier makes what goes in and comes out of a node stay.
func (n *Net) barrier(node *graph.Node) {
	for _, in := range node.Inputs {
		n.pin(in, "in front of "+node.Op)
	}
	for _, out := range node.Outputs {
		n.opaque(out, "behind "+node.Op)
	}
}

func (n *Net) find(c int) int {
	for n.parent[c] != c {
		n.parent[c] = n.parent[n.parent[c]]
		c = n.parent[c]
	}
	return c
}

func (n *Net) union(a, b int) {
	a, b = n.find(a), n.find(b)
	n.parent[max(a, b)] = min(a, b)
}

// settle replaces channels by their classes.
func (n *Net) settle() {
	pinned := map[int]string{}
	for c := range n.parent {
		if why := n.pinned[c]; why != "" && pinned[n.find(c)] == "" {
			pinned[n.find(c)] = why
		}
	}
	n.pinned = pinned
	for _, list := range n.lists {
		n.resolve(list)
	}
	for _, c := range n.convs {
		n.resolve(c.ins)
		n.resolve(c.outs)
	}
	for _, t := range n.trims {
		n.resolve(t.list)
	}
	for _, w := range n.windows {
		n.resolve(w.list)
	}
}

func (n *Net) resolve(list []int) {
	for i, c := range list {
		list[i] = n.find(c)
	}
}

// group puts classes together that the same convolutions make and use.
func (n *Net) group() {
	makers, users := map[int][]int{}, map[int][]int{}
	note := func(m map[int][]int, class, conv int) {
		if l := m[class]; len(l) == 0 || l[len(l)-1] != conv {
			m[class] = append(l, conv)
		}
	}
	for i, c := range n.convs {
		for _, class := range c.outs {
			note(makers, class, i)
		}
		if !c.depthwise() {
			for _, class := range c.ins {
				note(users, class, i)
			}
		}
	}
	at, put := map[string]int{}, Set{}
	for i, c := range n.convs {
		for _, class := range c.outs {
			if n.pinned[class] != "" || makers[class][0] != i || put[class] {
				continue
			}
			put[class] = true
			key := fmt.Sprint(makers[class], users[class])
			k, there := at[key]
			if !there {
				k = len(n.Groups)
				at[key] = k
				n.Groups = append(n.Groups, Group{Name: c.Name, convs: users[class]})
			}
			n.Groups[k].Classes = append(n.Groups[k].Classes, class)
		}
	}
	for _, c := range n.convs {
		if why := n.pinned[c.outs[0]]; why != "" && !slices.ContainsFunc(c.outs, func(class int) bool { return n.pinned[class] == "" }) {
			n.Pinned = append(n.Pinned, fmt.Sprintf("%s (%s)", c.Name, why))
		}
	}
}

// Convs are the convolutions, in the order of the graph.
func (n *Net) Convs() []*Conv { return n.convs }

// Consumers are the convolutions that mix a group's channels.
func (n *Net) Consumers(g Group) []*Conv {
	out := make([]*Conv, len(g.convs))
	for i, k := range g.convs {
		out[i] = n.convs[k]
	}
	return out
}

// MACs are the multiply-adds for one picture that are left without some channels.
func (n *Net) MACs(without Set) int64 { return macs(n.convs, without) }

func macs(convs []*Conv, without Set) (sum int64) {
	for _, c := range convs {
		sum += c.macs(without)
	}
	return sum
}

// kept are the places in a list whose classes stay.
func kept(list []int, without Set) []int {
	out := make([]int, 0, len(list))
	for i, class := range list {
		if !without[class] {
			out = append(out, i)
		}
	}
	return out
}

// Describe says in a few words what the network's channels are.
func (n *Net) Describe() string {
	channels := 0
	for _, g := range n.Groups {
		channels += len(g.Classes)
	}
	text := fmt.Sprintf("%d channels in %d groups may go", channels, len(n.Groups))
	if len(n.Pinned) > 0 {
		text += "; all stay of " + strings.Join(n.Pinned, ", ")
	}
	return text
}
