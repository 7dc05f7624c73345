package pipelines

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightline/detect"
	"sightline/pipelines/spec"
)

// pictured is an event with its snapshot as a consumer sees them.
type pictured struct {
	Type, ID, DataRef string
	Data              struct {
		Media *struct{ Snapshot *detect.Snapshot }
	}
	jpeg []byte
}

// photographed runs the sample video with snapshots and returns its events of
// types that get a picture, after checking each picture against its event.
func photographed(t *testing.T, keys string, packets, cores int) (raw string, all []pictured) {
	t.Helper()
	dir := t.TempDir()
	out := filepath.Join(dir, "events.jsonl")
	o := parts(t)
	o.Source, o.Cores = cutFile(t, packets), cores
	text := square(t, reproducible+", fps: 5", out, 1) + fmt.Sprintf("snapshots: { path: '%s/pictures', %s }\n", dir, keys)
	p := build(t, text, o)
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := p.Frames(); n != 0 {
		t.Errorf("%d frames are still held", n)
	}
	names := map[string]bool{}
	for _, e := range written(t, out) {
		raw += e.raw
		var got pictured
		if err := json.Unmarshal([]byte(e.raw), &got); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(p.spec.Snapshots.Types, e.Type) {
			if got.DataRef != "" || got.Data.Media != nil {
				t.Errorf("a picture of %s: %s", e.Type, e.raw)
			}
			continue
		}
		got.Type = e.Type
		got.jpeg = proven(t, filepath.Join(dir, "pictures"), got)
		names[got.DataRef] = true
		all = append(all, got)
	}
	files, err := filepath.Glob(filepath.Join(dir, "pictures", "*", "*", "*"))
	if err != nil || len(files) != len(names) || len(files) != len(all) {
		t.Errorf("%d files for %d events, %v", len(files), len(all), err)
	}
	if st := p.Snapshots(); st.Streams["cam0"].Kept != uint64(len(all)) || len(st.Streams["cam0"].GivenUp) != 0 || st.Bytes == 0 {
		t.Errorf("%+v for %d events", st, len(all))
	}
	return raw, all
}

// proven reads the picture of an event, which must be what the event says.
func proven(t *testing.T, dir string, e pictured) []byte {
	t.Helper()
	if e.Data.Media == nil || e.Data.Media.Snapshot == nil {
		t.Errorf("%s %s has no picture", e.Type, e.ID)
		return nil
	}
	s := e.Data.Media.Snapshot
	data, err := os.ReadFile(filepath.Join(dir, s.URI))
	if err != nil {
		t.Error(err)
		return nil
	}
	sum := sha256.Sum256(data)
	shape, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil || hex.EncodeToString(sum[:]) != s.SHA256 || len(data) != s.Bytes || shape.Width != s.Width || shape.Height != s.Height || e.DataRef != s.URI {
		t.Errorf("%+v is not %d bytes of %dx%d, %v", s, len(data), shape.Width, shape.Height, err)
	}
	return data
}

// TestSnapshotsGolden compares the pictures of a run with those of a recorded one,
// as far as encoders agree.
func TestSnapshotsGolden(t *testing.T) {
	const packets = 240
	_, all := photographed(t, "", packets, 0)
	kinds := map[string]int{}
	var record strings.Builder
	for _, e := range all {
		kinds[e.Type]++
		s := e.Data.Media.Snapshot
		fmt.Fprintf(&record, "%s %s %d %dx%d %x\n", e.Type, e.ID, s.Frame, s.Width, s.Height, thumbnail(t, e.jpeg))
	}
	if kinds["object.ended"] < 3 || kinds["line.crossed"] < 3 || kinds["zone.dwell"] < 1 {
		t.Errorf("of each type there are %v", kinds)
	}
	golden := filepath.Join("testdata", "snapshots.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(record.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	alike(t, string(want), record.String())
}

// TestSameSnapshots wants the same pictures, byte for byte, of every run.
func TestSameSnapshots(t *testing.T) {
	const packets, types = 40, "types: [object.started, object.ended, line.crossed]"
	raw, all := photographed(t, types, packets, 0)
	defer keepBusy()()
	if again, _ := photographed(t, types, packets, 1); again != raw || len(all) < 5 { // digests are among them
		t.Errorf("%d pictures; %s", len(all), firstDifference(raw, again))
	}
}

// thumbnail is a picture in 64 shades of gray.
func thumbnail(t *testing.T, data []byte) (out [64]byte) {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	b := img.Bounds()
	for i := range out {
		x, y := i%8, i/8
		cell := image.Rect(b.Dx()*x/8, b.Dy()*y/8, max(b.Dx()*(x+1)/8, b.Dx()*x/8+1), max(b.Dy()*(y+1)/8, b.Dy()*y/8+1))
		out[i] = byte(mean(img, cell.Intersect(b)))
	}
	return out
}

func mean(img image.Image, r image.Rectangle) int {
	sum := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			sum += int(color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y)
		}
	}
	return sum / max(1, r.Dx()*r.Dy())
}

// alike compares records: sizes within two pixels, shades within a few, all else
// exactly.
func alike(t *testing.T, want, got string) {
	t.Helper()
	const hint = "`go test ./pipelines -run TestSnapshotsGolden -update` records this anew"
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	if len(wants) != len(gots) {
		t.Fatalf("%d pictures, want %d; %s", len(gots), len(wants), hint)
	}
	for i := range wants {
		var a, b struct {
			typ, id string
			frame   int
			w, h    int
			shades  []byte
		}
		if wants[i] == "" {
			continue
		}
		if _, err := fmt.Sscanf(wants[i], "%s %s %d %dx%d %x", &a.typ, &a.id, &a.frame, &a.w, &a.h, &a.shades); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscanf(gots[i], "%s %s %d %dx%d %x", &b.typ, &b.id, &b.frame, &b.w, &b.h, &b.shades); err != nil {
			t.Fatal(err)
		}
		far := max(a.w-b.w, b.w-a.w, a.h-b.h, b.h-a.h) > 2 || a.typ != b.typ || a.id != b.id || a.frame != b.frame
		for k := range a.shades {
			far = far || max(int(a.shades[k])-int(b.shades[k]), int(b.shades[k])-int(a.shades[k])) > 8
		}
		if far {
			t.Errorf("%s\n- %s\n+ %s", hint, wants[i], gots[i])
		}
	}
}

// TestBlurReachesEveryPicture compares the pictures of one run with those of
// another in which people are blurred, down to whom the events do not tell of.
func TestBlurReachesEveryPicture(t *testing.T) {
	const packets = 60
	const types = "types: [object.started, line.crossed]"
	_, clear := photographed(t, types, packets, 0)
	_, blurred := photographed(t, types+", blur: [person]", packets, 0)
	if len(clear) == 0 || len(clear) != len(blurred) {
		t.Fatalf("%d pictures, and %d blurred ones", len(clear), len(blurred))
	}
	for i, e := range blurred {
		if s := e.Data.Media.Snapshot; e.ID != clear[i].ID || !slices.Equal(s.Blurred, []string{"person"}) {
			t.Errorf("%s: %+v", e.ID, s)
		}
		before, after := roughness(t, clear[i].jpeg), roughness(t, e.jpeg)
		if after > before/3 {
			t.Errorf("%s %s: neighbors differ by %.1f, unblurred by %.1f", e.Type, e.ID, after, before)
		}
	}
}

// roughness is by how much neighboring pixels differ.
func roughness(t *testing.T, data []byte) float64 {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	b, sum := img.Bounds(), 0
	at := func(x, y int) int { return int(color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y) }
	for y := 1; y < b.Dy(); y++ {
		for x := 1; x < b.Dx(); x++ {
			dx, dy := at(x, y)-at(x-1, y), at(x, y)-at(x, y-1)
			sum += max(dx, -dx) + max(dy, -dy)
		}
	}
	return float64(sum) / float64(b.Dx()*b.Dy())
}

// TestBlurredClassesAreFoundAndNotTold has people blurred on a stream that is
// asked for cars alone.
func TestBlurredClassesAreFoundAndNotTold(t *testing.T) {
	labels := []string{"person", "car", "dog"}
	p := &Pipeline{spec: &spec.Pipeline{Snapshots: &spec.Snapshots{Blur: []string{"person"}}}}
	for _, c := range []struct{ asked, want []string }{{nil, nil}, {[]string{"car"}, []string{"car", "person"}}, {[]string{"person"}, []string{"person"}}} {
		st := &spec.Stream{}
		st.Detect.Classes = c.asked
		if got, err := p.foundClasses(st, labels); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("asked for %q: found are %q, %v", c.asked, got, err)
		}
	}
	if _, err := p.foundClasses(&spec.Stream{}, []string{"car"}); err == nil || !strings.Contains(err.Error(), `does not know "person"`) {
		t.Errorf("a class that nothing finds: %v", err)
	}
	dets := []detect.Detection{{Class: "person", Score: .9}, {Class: "car", Score: .2}}
	a := &analyst{only: []string{"car"}}
	if got := a.analyzed(dets); len(got) != 1 || got[0].Class != "car" || len(dets) != 2 || dets[0].Class != "person" {
		t.Errorf("analyzed are %v of %v", got, dets)
	}
}
