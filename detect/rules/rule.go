package rules

import (
	"fmt"
	"slices"
	"time"

	"sightline/detect"
)

// newRule makes the rule that cfg describes; its line or zone must be in c.
func newRule(c Config, cfg RuleConfig) (detect.Rule, error) {
	base := ruleBase{cfg: cfg}
	line, zone := Line{}, Zone{}
	switch cfg.Kind {
	case Crossing, Count:
		i := slices.IndexFunc(c.Lines, func(l Line) bool { return l.Name == cfg.Line })
		if i < 0 {
			return nil, fmt.Errorf("rule %s: the stream has no line %q", cfg.Name, cfg.Line)
		}
		line = c.Lines[i]
	default:
		i := slices.IndexFunc(c.Zones, func(z Zone) bool { return z.Name == cfg.Zone })
		if i < 0 {
			return nil, fmt.Errorf("rule %s: the stream has no zone %q", cfg.Name, cfg.Zone)
		}
		zone = c.Zones[i]
	}
	switch cfg.Kind {
	case Crossing:
		return &crossing{ruleBase: base, line: crossings{line: line}}, nil
	case Presence:
		return &presence{ruleBase: base, visits: visits{zone: zone, wants: base.wants}}, nil
	case Dwell:
		return &dwell{ruleBase: base, visits: visits{zone: zone, wants: base.wants}}, nil
	case Occupancy:
		return &occupancy{ruleBase: base, visits: visits{zone: zone, wants: base.wants}}, nil
	case Count:
		return newCount(base, line)
	}
	return nil, fmt.Errorf("rule %s: kind %q is none of %v", cfg.Name, cfg.Kind, Kinds())
}

// ruleBase is what all kinds share.
type ruleBase struct{ cfg RuleConfig }

func (b *ruleBase) wants(class string) bool {
	return len(b.cfg.Classes) == 0 || slices.Contains(b.cfg.Classes, class)
}

func (b *ruleBase) event(typ detect.Type, subject string, at time.Time) detect.Event {
	return detect.Event{Type: typ, Subject: subject, Time: at, Severity: b.cfg.Severity,
		Data: detect.Data{Rule: &detect.RuleInfo{Name: b.cfg.Name, Kind: string(b.cfg.Kind)}}}
}

// trackEvent is about a track; the stream fills in the rest of the object.
func (b *ruleBase) trackEvent(typ detect.Type, track string, at time.Time) detect.Event {
	e := b.event(typ, "track/"+track, at)
	e.Data.Object = &detect.Object{TrackID: track}
	return e
}
