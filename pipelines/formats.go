package pipelines

import (
	"sightline/pipelines/spec"
	"sightline/sink/format"
)

// formatConfig is how a sink lays events out; r is nil where nothing is registered.
func formatConfig(name string, r *spec.Registry) format.Config {
	c := format.Config{Kind: name}
	if r != nil {
		c.Registry = format.Registry{
			URL: r.URL, Username: r.Username, Password: r.Password.Current, CA: r.CA, Subject: r.Subject, LookUp: !r.Register,
		}
	}
	return c
}
