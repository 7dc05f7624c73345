package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sightline/detect"
	"sightline/sink"
)

func project(t testing.TB, kind string) Format {
	t.Helper()
	f, err := New(Config{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestGolden holds each projection of each type of event to a file.
func TestGolden(t *testing.T) {
	for _, kind := range []string{DeepStream, DLStreamer, Frigate} {
		f := project(t, kind)
		for _, r := range append(samples(), withoutFrame()...) {
			if !f.Takes(r.Event.Type) {
				continue
			}
			name := kind + "." + string(r.Event.Type)
			if r.Event.Data.Frame == nil {
				name += ".no-frame"
			}
			got, err := f.Append(t.Context(), nil, readBack(t, r))
			if err != nil {
				t.Fatal(err)
			}
			if direct, err := f.Append(t.Context(), []byte("x"), r); err != nil || string(direct) != "x"+string(got) {
				t.Errorf("%s: read back it is\n%s, not\n%s (%v)", name, got, direct, err)
			}
			golden(t, name, got)
		}
	}
}

// withoutFrame is events as they are made when a stream ends.
func withoutFrame() (out []sink.Record) {
	for _, r := range samples() {
		if r.Event.Type == detect.ObjectEnded {
			ev := *r.Event
			ev.Data.Frame = nil
			out = append(out, sink.Record{Event: &ev, Sequence: r.Sequence})
		}
	}
	return out
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, got, "", "  "); err != nil {
		t.Fatalf("%s: %v in %s", name, err, got)
	}
	indented.WriteByte('\n')
	file := filepath.Join("testdata", "golden", name+".json")
	if *update {
		if err := os.WriteFile(file, indented.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), indented.String()); diff != "" {
		t.Errorf("%s (-golden +got):\n%s", name, diff)
	}
}

// TestShapes holds names and types of members to what the other systems' own
// documents and samples show of theirs: Gst-nvmsgconv's schemas, the output of
// gvametaconvert, and Frigate's page on MQTT. "?" may be null there or absent.
func TestShapes(t *testing.T) {
	const (
		minimal = "version=string id=string @timestamp=string sensorId=string objects=array objects[]=string"
		full    = "messageid=string mdsversion=string @timestamp=string place=object place.id=string place.name=string place.type=string " +
			"sensor=object sensor.id=string sensor.type=string sensor.description=string " +
			"analyticsModule=object analyticsModule.id=string analyticsModule.description=string analyticsModule.source=string analyticsModule.version=string " +
			"object=object object.id=string object.speed=number object.direction=number object.orientation=number " +
			"object.bbox=object object.bbox.topleftx=number object.bbox.toplefty=number object.bbox.bottomrightx=number object.bbox.bottomrighty=number " +
			"object.location=object object.coordinate=object event=object event.id=string event.type=string videoPath=string"
		frame = "objects=array objects[]=object objects[].detection=object objects[].detection.bounding_box=object " +
			"objects[].detection.bounding_box.x_max=number objects[].detection.bounding_box.x_min=number " +
			"objects[].detection.bounding_box.y_max=number objects[].detection.bounding_box.y_min=number " +
			"objects[].detection.confidence=number objects[].detection.label=string objects[].h=number objects[].w=number objects[].x=number objects[].y=number " +
			"objects[].id=number objects[].roi_type=string resolution=object resolution.height=number resolution.width=number source=string timestamp=number tags=object"
		state = "X=object X.id=string X.camera=string X.frame_time=number X.label=string X.sub_label=null X.top_score=number X.false_positive=bool " +
			"X.start_time=number X.end_time=null X.score=number X.box=array X.box[]=number X.area=number X.ratio=number X.region=array X.region[]=number " +
			"X.current_zones=array X.current_zones[]=string X.entered_zones=array X.entered_zones[]=string X.thumbnail=null " +
			"X.has_snapshot=bool X.has_clip=bool X.stationary=bool X.attributes=object"
	)
	change := "type=string " + strings.ReplaceAll(state, "X", "before") + " " + strings.ReplaceAll(state, "X", "after")
	for i, c := range []struct {
		kind  string
		typ   detect.Type
		shape string
	}{
		{DeepStream, detect.Detections, minimal}, {DeepStream, detect.LineCrossed, full},
		{DLStreamer, detect.Detections, frame}, {Frigate, detect.ObjectUpdated, change},
	} {
		for _, r := range samples() {
			if r.Event.Type != c.typ {
				continue
			}
			text, err := project(t, c.kind).Append(t.Context(), nil, r)
			if err != nil {
				t.Fatal(err)
			}
			var v any
			if err := json.Unmarshal(text, &v); err != nil {
				t.Fatal(err)
			}
			found := map[string]string{}
			shapeOf("", v, found)
			for _, want := range strings.Fields(c.shape) {
				path, typ, _ := strings.Cut(want, "=")
				if found[path] != typ {
					t.Errorf("%d, %s of %s: %s is %q, there it is %q", i, c.kind, c.typ, path, found[path], typ)
				}
			}
		}
	}
}

// shapeOf notes the type of everything in v by its path; a list's items by the first.
func shapeOf(path string, v any, found map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		found[path] = "object"
		for k, x := range v {
			shapeOf(strings.TrimPrefix(path+"."+k, "."), x, found)
		}
	case []any:
		found[path] = "array"
		if len(v) > 0 {
			shapeOf(path+"[]", v[0], found)
		}
	case string:
		found[path] = "string"
	case float64:
		found[path] = "number"
	case bool:
		found[path] = "bool"
	case nil:
		found[path] = "null"
	}
}

func TestWhatHasNoCounterpartIsLeftOut(t *testing.T) {
	takes := map[string]string{
		DeepStream: "detections object.started object.updated object.ended line.crossed zone.entered zone.exited",
		DLStreamer: "detections",
		Frigate:    "object.started object.updated object.ended",
	}
	for kind, want := range takes {
		f := project(t, kind)
		for _, r := range samples() {
			taken := strings.Contains(" "+want+" ", " "+string(r.Event.Type)+" ")
			b, err := f.Append(t.Context(), []byte("x"), r)
			if f.Takes(r.Event.Type) != taken || errors.Is(err, ErrNoCounterpart) == taken {
				t.Errorf("%s of %s: %v", kind, r.Event.Type, err)
			}
			if !taken && (string(b) != "x" || Temporary(err)) {
				t.Errorf("%s of %s: %q, %v", kind, r.Event.Type, b, err)
			}
		}
	}
}

// TestFrigateIDStays: what follows an object there goes by its id.
func TestFrigateIDStays(t *testing.T) {
	f, ids := project(t, Frigate), map[string]bool{}
	for _, r := range samples() {
		if !f.Takes(r.Event.Type) {
			continue
		}
		text, err := f.Append(t.Context(), nil, r)
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ After struct{ ID string } }
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		ids[got.After.ID] = true
	}
	for id := range ids {
		if len(ids) != 1 || !regexp.MustCompile(`^1769846397\.500125-[a-z0-9]{6}$`).MatchString(id) {
			t.Errorf("one object has the ids %v", ids)
		}
	}
}
