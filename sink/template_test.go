package sink

import (
	"strings"
	"testing"

	"sightline/detect"
)

func TestTemplate(t *testing.T) {
	crossing := &detect.Event{
		Site: "hq", Stream: "gate", Type: detect.LineCrossed, Severity: detect.Warning,
		Data: detect.Data{
			Rule: &detect.RuleInfo{Name: "in-out"}, Line: &detect.LineInfo{Name: "kerb"},
			Object: &detect.Object{Class: "traffic light", TrackID: "9-1"},
		},
	}
	online := &detect.Event{Site: "hq", Stream: "gate", Type: detect.StreamOnline, Severity: detect.Info}
	dwell := &detect.Event{Data: detect.Data{Zone: &detect.ZoneInfo{Name: "door"}}, Severity: detect.Critical}
	under := func(s string) string { return strings.ReplaceAll(s, " ", "_") }
	for _, c := range []struct {
		text  string
		ev    *detect.Event
		clean func(string) string
		want  string
	}{
		{"sightline.{site}.{type}", crossing, nil, "sightline.hq.line.crossed"},
		{"{stream}/{line}/{rule}/{track}/{severity}", crossing, nil, "gate/kerb/in-out/9-1/warning"},
		{"my topic {class}", crossing, under, "my topic traffic_light"},
		{"{zone}-{line}-{rule}-{class}-{track}-{severity}", online, nil, "none-none-none-none-none-info"},
		{"{zone}{zone} {site}{severity}", dwell, nil, "doordoor nonecritical"},
		{"plain", online, nil, "plain"},
		{"", online, nil, ""},
	} {
		tpl, err := ParseTemplate(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := tpl.Expand(c.ev, c.clean); got != c.want {
			t.Errorf("%s: got %q, want %q", c.text, got, c.want)
		}
		text, literal := tpl.Literal()
		if literal == strings.Contains(c.text, "{") || literal && text != c.text || tpl.Has("zone") != strings.Contains(c.text, "{zone}") {
			t.Errorf("%s: literal %t %q, has a zone %t", c.text, literal, text, tpl.Has("zone"))
		}
	}
}

func TestTemplateMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"a.{stram}":   "unknown placeholder {stram}; did you mean {stream}?",
		"a.{Site}":    "did you mean {site}?",
		"{}":          "unknown placeholder {}; known are {site}, {stream}",
		"{camera}":    "unknown placeholder {camera}; known are {site}, {stream}",
		"{site":       "brace without its counterpart; placeholders are written {site}",
		"site}":       "brace without its counterpart",
		"{site{type}": "brace without its counterpart",
		"{track}":     "unknown placeholder {track}",
	} {
		if _, err := ParseTemplate(text, "site", "stream", "type"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// FuzzTemplate: a template that is accepted has every brace in a placeholder, and
// none is left after it was expanded.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"sightline.{site}.{type}", "{", "}{", "{{site}}", "{none}", "é{zone}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tpl, err := ParseTemplate(text)
		if err != nil {
			return
		}
		got := tpl.Expand(&detect.Event{Site: "s"}, func(string) string { return "" })
		if strings.ContainsAny(got, "{}") || len(got) > len(text) {
			t.Errorf("%q expands to %q", text, got)
		}
	})
}
