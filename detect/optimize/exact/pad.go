package exact

import (
	"slices"

	"sightline/detect/optimize/graph"
)

// paddings moves Pad nodes into what is behind them: zeros into convolutions, what
// is less than anything into maximum pools.
func paddings(g *graph.Graph) (n int) {
	for _, pad := range nodes(g, "Pad") {
		rim, value := rimOf(g, pad)
		if rim == nil || !g.Alone(pad.Outputs[0]) {
			continue
		}
		user := g.Users(pad.Outputs[0])[0]
		fits := user.Op == "Conv" && value == 0 || user.Op == "MaxPool" && value < -1e30 && plain(user)
		if !fits || user.Inputs[0] != pad.Outputs[0] || user.Text("auto_pad", "NOTSET") != "NOTSET" {
			continue
		}
		had := user.Ints("pads")
		if had == nil {
			had = make([]int64, 4)
		}
		if len(had) != 4 {
			continue
		}
		sum := make([]int64, 4)
		for i := range sum {
			sum[i] = had[i] + rim[i]
		}
		if user.Op == "MaxPool" && !within(sum, user.Ints("kernel_shape")) {
			continue
		}
		user.Set(&graph.Attr{Name: "pads", Type: graph.Ints, Is: sum})
		user.Inputs[0] = pad.Inputs[0]
		g.Remove(pad)
		n++
	}
	return n
}

// plain tells whether a pool gives the same with a padding of its own: not where it
// also tells places, or lets windows begin in the padding.
func plain(pool *graph.Node) bool {
	return len(pool.Outputs) == 1 && pool.Int("ceil_mode", 0) == 0
}

// within tells whether paddings are smaller than the window, as pools want them.
func within(pads, kernel []int64) bool {
	return len(kernel) == 2 && max(pads[0], pads[2]) < kernel[0] && max(pads[1], pads[3]) < kernel[1]
}

// rimOf is what a Pad adds to a picture: top, left, bottom, right, and with which
// value; nil where it does anything else.
func rimOf(g *graph.Graph, n *graph.Node) (rim []int64, value float32) {
	if n.Text("mode", "constant") != "constant" || n.Input(3) != "" || len(n.Inputs) < 2 {
		return nil, 0
	}
	pads := g.Tensors[n.Inputs[1]].Int64s()
	if len(pads) != 8 || slices.ContainsFunc(pads, func(v int64) bool { return v < 0 }) || pads[0]+pads[1]+pads[4]+pads[5] != 0 {
		return nil, 0
	}
	if n.Input(2) != "" {
		v := g.Tensors[n.Inputs[2]].Float32s()
		if len(v) != 1 {
			return nil, 0
		}
		value = v[0]
	}
	return []int64{pads[2], pads[3], pads[6], pads[7]}, value
}
