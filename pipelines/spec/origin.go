package spec

import "fmt"

// Origin is where a value was written. The zero Origin is a default's.
type Origin struct {
	File   string // as it was given; "-s" for an override
	Line   int    // from 1; of an override: the how manyth
	Column int    // from 1
}

// String gives `file:line`, or `default`, or `-s`.
func (o Origin) String() string {
	switch o.File {
	case "":
		return "default"
	case overrideFile:
		return overrideFile
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}

const overrideFile = "-s"

// Origin returns where the value at a key path (`streams.gate.url`,
// `rules.loitering.for`) was written.
func (p *Pipeline) Origin(path string) Origin { return p.origins[path] }
