package pipelines

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"sightline/pipelines/spec"
)

// Check finds what the kinds of source refuse about a pipeline's addresses, which
// loading it does not know. It opens nothing. Its error is spec.Diagnostics.
func Check(sp *spec.Pipeline) error {
	var found spec.Diagnostics
	for i := range sp.Streams {
		st := &sp.Streams[i]
		for _, a := range slices.Concat(st.Analyzed(), st.Viewed()) {
			_, err := newSource(&a, nil, slog.New(slog.DiscardHandler))
			if err == nil {
				continue
			}
			path := addressPath(st, a.URL)
			at := sp.Origin(path)
			text := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", "; "), "url: ")
			d := spec.Diagnostic{File: at.File, Line: at.Line, Column: at.Column, Path: path, Message: st.Clean(text)}
			if !slices.Contains(found, d) { // a fallback stands in for both streams of a camera
				found = append(found, d)
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found
}

// addressPath is the key of one of a stream's addresses.
func addressPath(st *spec.Stream, url string) string {
	path := "streams." + st.Name
	for i, f := range st.Fallback {
		if f.URL == url {
			return fmt.Sprintf("%s.fallback[%d]", path, i)
		}
	}
	switch {
	case st.URLs == nil:
		return path + ".url"
	case st.URLs.Sub.URL == url:
		return path + ".urls.sub"
	}
	return path + ".urls.main"
}
