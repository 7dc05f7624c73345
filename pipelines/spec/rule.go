package spec

import (
	"slices"
	"time"

	"sightline/detect"
)

// Rule turns tracks into events on every stream that has its zone or line.
type Rule struct {
	// Name of the rule, unique among rules.
	Name string `yaml:"name" jsonschema:"required" name:"yes"`
	// Kind of rule.
	Kind string `yaml:"kind" jsonschema:"required,enum=crossing,enum=presence,enum=dwell,enum=occupancy,enum=count"`
	// Streams narrows the rule to these.
	Streams []string `yaml:"streams"`
	// Line the rule watches.
	Line string `yaml:"line" jsonschema:"required" kinds:"crossing,count"`
	// Zone the rule watches.
	Zone string `yaml:"zone" jsonschema:"required" kinds:"presence,dwell,occupancy"`
	// For is how long an object stays before it counts.
	For time.Duration `yaml:"for" jsonschema:"required" kinds:"dwell"`
	// Every is the length of a counting window.
	Every time.Duration `yaml:"every" jsonschema:"required" kinds:"count"`
	// Timezone whose clock the windows align to, a name of the IANA database.
	Timezone string `yaml:"timezone" jsonschema:"default=UTC" kinds:"count"`
	// Classes narrows the rule to objects of these.
	Classes []string `yaml:"classes"`
	// Severity of the events.
	Severity string `yaml:"severity" jsonschema:"enum=info,enum=warning,enum=critical,default=info"`
}

// EventSeverity is the rule's severity as events carry it.
func (r *Rule) EventSeverity() detect.Severity {
	switch r.Severity {
	case "critical":
		return detect.Critical
	case "warning":
		return detect.Warning
	}
	return detect.Info
}

// AppliesTo tells whether the rule works on the stream: it is among the rule's
// streams and has the rule's zone or line.
func (r *Rule) AppliesTo(s *Stream) bool {
	if len(r.Streams) > 0 && !slices.Contains(r.Streams, s.Name) {
		return false
	}
	if r.Line != "" {
		return slices.ContainsFunc(s.Lines, func(l Line) bool { return l.Name == r.Line })
	}
	return slices.ContainsFunc(s.Zones, func(z Zone) bool { return z.Name == r.Zone })
}
