package cli

import (
	"fmt"
	"strings"

	"sightline/pipelines/spec"
)

// yaml is a whole pipeline file for the stream, without its secrets.
func (p *probing) yaml(st *spec.Stream) string {
	lines := []string{"url: " + safe(st.SafeURL())}
	switch {
	case st.Kind == spec.Images:
		lines = []string{"url: " + quoted("images:"+st.Path)}
	case st.Kind == spec.File:
		lines = []string{"url: " + quoted("file:"+st.Path)}
	}
	lines = append(lines, p.login(st.Username, !st.Password.IsZero())...)
	if st.TLS != nil && st.TLS.Insecure {
		lines = append(lines, "tls: { insecure: true }")
	}
	return pipelineText(st.Name, lines)
}

// login is the keys of username and password.
func (p *probing) login(username string, password bool) (lines []string) {
	if username != "" {
		lines = append(lines, "username: "+quoted(username))
	}
	if password {
		lines = append(lines, `password: "${`+passwordVariable+`}"`)
	}
	return lines
}

// pipelineText is a pipeline of one stream that shows what it does at once.
func pipelineText(name string, lines []string) string {
	return fmt.Sprintf("version: 1\nname: %s\nstreams:\n  %[1]s:\n    %s\n", name, strings.Join(lines, "\n    ")) +
		"sinks:\n  - { kind: jsonl, path: \"-\" }  # each event a line on standard output\n" +
		"web: { listen: 127.0.0.1:8080 }   # the page\n"
}

// quoted is text as a YAML scalar that holds no variables.
func quoted(text string) string { return "'" + yamlQuoted(text) + "'" }

// safe is an address whose secrets were masked, as a scalar with a variable in
// their place.
func safe(masked string) string {
	return strings.ReplaceAll(quoted(masked), "***", "${"+passwordVariable+"}")
}
