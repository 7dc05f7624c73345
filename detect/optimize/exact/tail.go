package exact

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sightline/detect/optimize/graph"
)

// A head is the last convolution of one stride of a NanoDet network, which gives
// class scores without sigmoid, then distributions.
type head struct {
	stride int
	conv   *graph.Node
}

// tail cuts off what only rearranges the outputs of a NanoDet network, where that is
// all there is behind its last convolutions.
func tail(m *graph.Model) int {
	heads := nanodetHeads(m.Graph)
	if heads == nil {
		return 0
	}
	g := m.Graph
	cut := len(g.Nodes)
	g.Outputs = nil
	for _, h := range heads {
		old, name := h.conv.Outputs[0], headName(h.stride)
		g.Redirect(old, name)
		h.conv.Outputs[0] = name
		width := g.Tensors[h.conv.Inputs[1]].Dims[0]
		g.Outputs = append(g.Outputs, graph.Port{Name: name, Type: graph.F32, Dims: []graph.Dim{
			{Name: "N"}, {Size: width}, {Name: fmt.Sprint("rows", h.stride)}, {Name: fmt.Sprint("columns", h.stride)},
		}})
	}
	g.Sweep()
	m.SetMeta("family", "nanodet")
	return cut - len(g.Nodes)
}

func headName(stride int) string { return "head" + strconv.Itoa(stride) }

// nanodetHeads finds, for each stride, a pair of outputs cls8 and reg8 made by
// Transpose(Reshape(Sigmoid(Split(Conv)))) and the same without the sigmoid; nil
// where one is otherwise.
func nanodetHeads(g *graph.Graph) []head {
	name := regexp.MustCompile(`^(cls|reg|dis)\D*(\d+)$`)
	splits := map[int][2]*graph.Node{}
	for _, p := range g.Outputs {
		m := name.FindStringSubmatch(p.Name)
		if m == nil {
			return nil
		}
		stride, err := strconv.Atoi(m[2])
		part, which := 0, m[1] != "cls"
		if which {
			part = 1
		}
		split := rearranged(g, p.Name, part)
		if err != nil || split == nil {
			return nil
		}
		pair := splits[stride]
		pair[part] = split
		splits[stride] = pair
	}
	var heads []head
	for stride, pair := range splits {
		if pair[0] == nil {
			return nil
		}
		c := g.Conv(g.Maker(pair[0].Input(0)))
		again := c != nil && slices.ContainsFunc(heads, func(h head) bool { return h.conv == c.Node })
		if pair[0] != pair[1] || c == nil || again || len(g.Users(c.Node.Outputs[0])) != 1 || g.Fresh(headName(stride)) != headName(stride) {
			return nil
		}
		heads = append(heads, head{stride, c.Node})
	}
	slices.SortFunc(heads, func(a, b head) int { return a.stride - b.stride })
	return heads
}

// rearranged follows an output back to the part of a Split over the channels.
func rearranged(g *graph.Graph, output string, part int) *graph.Node {
	at := g.Maker(output)
	if at == nil || at.Op != "Transpose" || !slices.Equal(at.Ints("perm"), []int64{0, 2, 1}) {
		return nil
	}
	if at = g.Maker(at.Input(0)); at == nil || at.Op != "Reshape" {
		return nil
	}
	value := at.Input(0)
	if part == 0 {
		if at = g.Maker(value); at == nil || at.Op != "Sigmoid" {
			return nil
		}
		value = at.Input(0)
	}
	split := g.Maker(value)
	if split == nil || split.Op != "Split" || split.Int("axis", 0) != 1 || len(split.Outputs) != 2 || split.Outputs[part] != value {
		return nil
	}
	return split
}

// sliceClasses keeps the class rows of the last convolutions that are wanted, in
// the network's order, and its labels with them.
func sliceClasses(m *graph.Model, wanted []string) (kept, had int, err error) {
	labels, err := Labels(m)
	if err != nil {
		return 0, 0, err
	}
	var rows []int
	var names []string
	for i, label := range labels {
		if slices.Contains(wanted, label) {
			rows, names = append(rows, i), append(names, label)
		}
	}
	for _, w := range wanted {
		if !slices.Contains(labels, w) {
			return 0, 0, fmt.Errorf("the network knows no class %q; it knows %s", w, strings.Join(labels, ", "))
		}
	}
	g := m.Graph
	for i, p := range g.Outputs {
		c := g.Conv(g.Maker(p.Name))
		if c == nil || !strings.HasPrefix(p.Name, "head") {
			return len(labels), len(labels), nil // another family: its classes stay, and are filtered when decoded
		}
		if c.Out <= len(labels) {
			return 0, 0, fmt.Errorf("its output %s has %d rows, not one for each of its %d classes and more", p.Name, c.Out, len(labels))
		}
		all := slices.Clone(rows)
		for k := len(labels); k < c.Out; k++ {
			all = append(all, k)
		}
		keepRows(g, c, all)
		g.Outputs[i].Dims[1].Size = int64(len(all))
	}
	text, err := json.Marshal(names)
	m.SetMeta("names", string(text))
	return len(rows), len(labels), err
}

// Labels are the class names in a network's metadata, nil where there are none.
func Labels(m *graph.Model) (labels []string, err error) {
	if text := m.Meta("names"); text != "" {
		if err := json.Unmarshal([]byte(text), &labels); err != nil {
			return nil, fmt.Errorf("its class names are not a JSON list: %w", err)
		}
	}
	return labels, nil
}

// keepRows leaves some of the output channels.
func keepRows(g *graph.Graph, c *graph.Conv, rows []int) {
	weights, bias := c.Weights.Float32s(), c.Bias(g)
	each := len(weights) / c.Out
	var w, b []float32
	for _, k := range rows {
		w, b = append(w, weights[k*each:(k+1)*each]...), append(b, bias[k])
	}
	dims := slices.Clone(c.Weights.Dims)
	dims[0] = int64(len(rows))
	c.Set(g, dims, w, b)
}
