package pipelines

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"sightline/decode"
	"sightline/detect/optimize"
	"sightline/pipelines/optimization"
	"sightline/pipelines/spec"
)

// member is one stream that a network is made for.
type member struct {
	maker  *optimization.Maker
	st     *spec.Stream
	gpu    *gpu
	shadow *shadow
	pace   time.Duration
	next   time.Time   // the decoding goroutine's
	handed bool        // it was given the network: the maker's goroutine's
	waits  atomic.Bool // it begins with the network at the next start only
}

// unproved is why a GPU gets no network of a mode that has a budget.
const unproved = "networks of this mode are proved on the processor alone, and this stream's runs on a GPU: mode exact works there, or detect.device: cpu"

// making lets a stream run on the original, or on what was made of it before.
func (p *Pipeline) making(st *spec.Stream, path string, g *gpu, o Options, log *slog.Logger) (network, *shadow, error) {
	net, err := p.network(st, g, o, log)
	if err != nil {
		return network{}, nil, err
	}
	m, err := p.makers.For(st, path, net.detector.spec, net.model.Engine)
	if err != nil {
		return network{}, nil, err
	}
	set := st.Detect.Optimize
	w := newShadow(set.Mode, set.Shadow, set.Agreement, st.Detect.Confidence)
	one := &member{maker: m, st: st, gpu: g, shadow: w, pace: m.Pace()}
	w.member = one
	m.Join(func(ctx context.Context, file string) error { return p.give(ctx, one, file, o, log) })
	if g != nil && set.Mode != optimize.ExactMode {
		m.Refuse(unproved)
		log.Warn("no optimized network: the original goes on", slog.String("reason", unproved))
		return net, w, nil
	}
	file := m.File()
	if file == "" {
		return net, w, nil
	}
	made, err := p.sibling(st, file, net.detector.spec.Labels, g, o, log)
	if err != nil { // of a file that was whole: the engine changed, say
		m.Fail(err)
		log.Warn("the network that was made before cannot be used", slog.Any("error", err))
		return net, w, nil
	}
	w.begin(&net)
	return made, w, nil
}

// take offers a picture of the stream that is about to be inferred. A nil member takes
// none. The decoding goroutine's.
func (t *member) take(f *decode.Frame) {
	if t == nil || !t.maker.Wants() {
		return
	}
	if wait := t.next.Sub(f.Captured); wait > 0 && wait <= t.pace { // beyond it the time began anew
		return
	}
	host := t.shadow.stream.hostCopy(f)
	if host == nil {
		return // a GPU's memory must not wait here: the GPU may be lost
	}
	if t.maker.Offer(host) {
		t.next = host.Captured.Add(t.pace)
	}
}

// give gives a stream the network that was made, loaded and compiled for its pictures. One
// on a GPU, whose networks are settled from the start, begins with it at the next start.
func (p *Pipeline) give(ctx context.Context, t *member, file string, o Options, log *slog.Logger) error {
	if t.gpu != nil {
		t.waits.Store(true)
		log.Info("a stream on a GPU takes its optimized network at the next start")
		return nil
	}
	if t.handed || ctx.Err() != nil {
		return nil // it goes on with what it has
	}
	n, err := p.sibling(t.st, file, t.shadow.original.detector.spec.Labels, nil, o, log)
	if err != nil {
		return err
	}
	n.detector.start()
	if st := t.shadow.stream.status.snapshot(); st.Width > 0 {
		if shape := n.session.Ideal(st.Width, st.Height); n.session.Prepare(shape) != nil {
			log.Debug("not compiled for this picture size yet", slog.Any("size", shape))
		}
	}
	t.handed = true
	t.shadow.offer(&n)
	return nil
}
