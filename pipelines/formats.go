package pipelines

import (
	"sightline/pipelines/spec"
	"sightline/sink/format"
)

// newFormat makes what a sink lays events out with: nil for CloudEvents, which sinks
// do themselves. r is nil where nothing is registered.
func newFormat(name string, r *spec.Registry) (format.Format, error) {
	c := format.Config{Kind: name}
	if r != nil {
		c.Registry = format.Registry{
			URL: r.URL, Username: r.Username, Password: r.Password.Current, CA: r.CA, Subject: r.Subject, LookUp: !r.Register,
		}
	}
	if name == "" || name == format.CloudEvents {
		return nil, c.Validate()
	}
	return format.New(c)
}
