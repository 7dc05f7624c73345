package pipelines

import (
	"sightline/ingest"
	"sightline/pipelines/spec"
)

// addInputs gives a stream the sources of its addresses, and what keeps them
// coming.
func (p *Pipeline) addInputs(s *stream, st *spec.Stream, o Options) error {
	inputs, err := p.inputs(st.Analyzed(), o)
	if err != nil {
		return err
	}
	s.pull = &puller{
		live: s.live, waits: st.Waits(), loops: st.Loop && !s.lossless, finite: st.Kind == spec.HLS, log: s.log, inputs: inputs,
		timeout: st.Timeout + st.Every, receive: s.receive, ended: s.queue.End, trouble: s.queue.Trouble, use: s.use,
	}
	if st.OnDemand {
		s.pull.demand = newDemand()
		s.status.s.State, s.status.s.OnDemand = idle, true
		s.watch.packets.told, s.watch.frames.told = s.pull.demand.add, s.pull.demand.add
	}
	if views := st.Viewed(); views != nil {
		if inputs, err = p.inputs(views, o); err != nil {
			return err
		}
		s.viewed = newViewed(inputs, st.Timeout+st.Every, s.pull.demand, s.log)
	}
	return nil
}

func (p *Pipeline) inputs(addresses []spec.Stream, o Options) ([]*input, error) {
	var out []*input
	for i := range addresses {
		st := &addresses[i]
		in := &input{address: st.SafeURL(), clean: st.Clean, make: func() (ingest.Source, error) {
			if o.Source != nil {
				if s := o.Source(st); s != nil {
					return s, nil
				}
			}
			return newSource(st, p.ports, p.log)
		}}
		if err := in.renew(); err != nil {
			return nil, err
		}
		out = append(out, in)
	}
	return out, nil
}

// use grows whenever the stream proves to be of use: with its pictures, or with
// what arrives where nobody decodes it.
func (s *stream) use() uint64 {
	if !s.analyze {
		return s.status.packets()
	}
	return s.ledger.pictures()
}
