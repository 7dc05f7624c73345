package format

import (
	"strings"
	"testing"

	"sightline/sink"
)

func TestCloudEventsIsTheStructuredForm(t *testing.T) {
	f, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range samples() {
		want, err := sink.AppendStructured([]byte("x"), r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Append(t.Context(), []byte("x"), r)
		if err != nil || string(got) != string(want) {
			t.Errorf("got %s (%v)\nwant %s", got, err, want)
		}
		if !f.Takes(r.Event.Type) {
			t.Errorf("%s is left out", r.Event.Type)
		}
	}
	if f.ContentType() != sink.StructuredType {
		t.Error("content type is", f.ContentType())
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for want, c := range map[string]Config{
		`format: "xml" is none of cloudevents`: {Kind: "xml"},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
		if _, err := New(c); err == nil {
			t.Errorf("New takes %+v", c)
		}
	}
}
