//go:build cuda

package pipelines

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"sightline/decode"
	"sightline/internal/testkit/gputest"
	"sightline/kernels/emu"
)

// TestCUDASameEvents wants the same events, byte for byte, of pictures that went through
// the GPU's memory and kernels and of those that the processor alone had, with the
// kernels' definition of what a network is given. The video is decoded in software and
// its pictures uploaded.
func TestCUDASameEvents(t *testing.T) {
	gputest.Require(t)
	if !emu.Active() {
		t.Skip("a GPU's providers round otherwise than the CPU's: boxes are compared in detect/onnx")
	}
	emu.KeepsNothing(t)
	const packets, streams = 24, 2
	play := func(device string) map[string]string {
		out := filepath.Join(t.TempDir(), "events.jsonl")
		o := parts(t)
		o.Source, o.Reference = cutFile(t, packets), true
		p := build(t, square(t, reproducible+", fps: 5, device: '"+device+"'", out, streams), o)
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		return perStream(written(t, out))
	}
	before := emu.Counts()
	got := play("cuda:0")
	after := emu.Counts()
	if ran := after.Launches - before.Launches; ran < streams*packets/2 || after.ToDevice == before.ToDevice {
		t.Errorf("%d kernels ran, %d bytes were uploaded", ran, after.ToDevice-before.ToDevice)
	}
	want := play("cpu")
	if len(want) != streams || len(got) != streams {
		t.Errorf("%d and %d streams told something, want %d", len(want), len(got), streams)
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s:\n%s", name, firstDifference(want[name], got[name]))
		}
	}
}

// nvdec is a pipeline over files that are decoded into the GPU's memory.
func nvdec(t testing.TB, out string, streams int, more string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: nvdec\ndetect: { %s, device: 'cuda:0', fps: 5, confidence: 0.05, batch: { max: 4, deadline: 5ms } }\n", reproducible)
	fmt.Fprintf(&b, "decode: { hwaccel: cuda }\nquality: { for: 1s }\n%sstreams:\n", more)
	for i := range streams {
		fmt.Fprintf(&b, "  cam%d: { url: 'file:%s', pace: fastest }\n", i, media(t, "vtest.mp4"))
	}
	fmt.Fprintf(&b, "sinks: [{ kind: jsonl, path: '%s', types: [%s] }]\n", out, everything)
	return b.String()
}

// TestCUDAWholePath takes H.264 through NVDEC, GPU memory, the kernels, a network on that
// memory, and the kernels again, to events; pictures of it are brought back for those who
// need them: somebody who watches, snapshots, quality. On the emulation what NVDEC shows
// is made up, so nothing is found in it, but counts and numbers hold.
func TestCUDAWholePath(t *testing.T) {
	gputest.Require(t)
	emu.KeepsNothing(t)
	const packets = 40
	dir := t.TempDir()
	o := parts(t)
	o.Source = cutFile(t, packets)
	p := build(t, nvdec(t, filepath.Join(dir, "events.jsonl"), 1, "snapshots: { path: '"+filepath.Join(dir, "pictures")+"' }\n"), o)
	watched := p.WatchFrames("cam0", packets)
	before := emu.Counts()
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	watched.Close()
	all := written(t, filepath.Join(dir, "events.jsonl"))
	s := p.Streams()[0]
	if s.Decoder.Device != "cuda" || s.Decoder.Note != "" {
		t.Errorf("decoded on %q: %q", s.Decoder.Device, s.Decoder.Note)
	}
	if l := s.Ledger; l.Received != packets || l.Decoded+sum(l.Undecoded) != packets || l.Inferred == 0 || l.Skipped["error"] > 0 {
		t.Errorf("ledger %+v", l)
	}
	if n := ofType(all, "detections"); uint64(n) != s.Ledger.Inferred {
		t.Errorf("%d detections events of %d inferences", n, s.Ledger.Inferred)
	}
	if after := emu.Counts(); emu.Active() && after.Pictures-before.Pictures < int64(s.Ledger.Decoded) {
		t.Errorf("NVDEC decoded %d pictures of %d", after.Pictures-before.Pictures, s.Ledger.Decoded)
	}
	if p.Frames() != 0 {
		t.Errorf("%d frames are held", p.Frames())
	}
}

// TestCUDAPicturesComeBack wants what somebody who watches a stream gets to be what NVDEC
// made, in host memory.
func TestCUDAPicturesComeBack(t *testing.T) {
	gputest.Require(t)
	emu.KeepsNothing(t)
	o := parts(t)
	o.Source = cutFile(t, 20)
	p := build(t, nvdec(t, filepath.Join(t.TempDir(), "events.jsonl"), 1, ""), o)
	watched := p.WatchFrames("cam0", 20)
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for range len(watched.C) {
		f := <-watched.C
		seen++
		if f.Memory != decode.Host || f.GPU != nil {
			t.Errorf("picture %d is in memory of kind %d", f.Index, f.Memory)
		}
		if emu.Active() {
			row := unsafe.Slice((*byte)(f.Planes[0].Data), f.Width)
			for x := 16; x < f.Width; x += 16 {
				if got, want := int(row[x])-int(row[x-16]), 1; got != want && got != want-200 {
					t.Fatalf("picture %d: samples %d and %d at %d", f.Index, row[x-16], row[x], x)
				}
			}
		}
		f.Release()
	}
	watched.Close()
	if seen == 0 {
		t.Error("nothing came to who watches")
	}
}
