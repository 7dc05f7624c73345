package pipelines

// This file is what SkipAuto decides. A picture that is wanted is decoded, and all
// it may build on. Everything else is passed over where the packet says that
// nothing depends on it, and held where a keyframe is expected before anything is
// wanted: if it comes, what was held is never decoded; if not, it is decoded
// late, and nothing is lost.

// auto decides where keyframes alone do not suffice.
func (s *gridSampler) auto(p PacketInfo) (Decision, string) {
	d := min(refsSuffice, s.gop.density(s.grid(), p.PTS))
	spacing := s.gop.spacing(d, p.Duration)
	candidate := !p.Disposable || d == allNeeded
	if slot := s.slotOf(p.PTS, spacing); candidate && s.plan.free(slot) {
		s.plan.want(p.PTS, slot)
		return DecodePacket, ""
	}
	switch {
	case p.Watched:
		return DecodePacket, ""
	case p.Disposable:
		return SkipPacket, skippedNonref
	case len(s.plan.inside) > 0:
		return DecodePacket, "" // it pushes out what the decoder holds back
	}
	if next := s.next() - spacing/2; s.gop.keyBy(next) && !s.gop.late(p.PTS) {
		if p.Keyframe {
			return HoldPacket, sampled
		}
		return HoldPacket, skippedTail
	}
	return DecodePacket, ""
}

// keysSuffice decides where keyframes alone suffice, each being worth a slot, of
// which overload takes its share; done is false for packets that are decided upon
// like any others.
func (s *gridSampler) keysSuffice(p PacketInfo, keep float64) (d Decision, reason string, done bool) {
	slot := s.slotOf(p.PTS, s.gop.interval)
	switch {
	case s.skipping:
		return SkipUntilKey, skippedNonkey, true
	case p.Watched && keep >= 1:
		return 0, "", false
	case p.Keyframe && s.plan.free(slot):
		if !s.pay(keep) {
			s.plan.take(slot)
			s.skipping = true
			return SkipUntilKey, overload, true
		}
		s.plan.want(p.PTS, slot)
		s.shed.observe(p.Lag)
		return DecodePacket, "", true
	case len(s.plan.inside) > 0 && !p.Keyframe:
		s.shed.observe(p.Lag)
		return DecodePacket, "", true // it pushes out what the decoder holds back
	case p.Keyframe:
		return HoldPacket, sampled, true
	}
	return HoldPacket, skippedNonkey, true
}
