package kernels

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"sightline/kernels/ptx"
)

// everyLaunch is one launch of each kernel, of made-up addresses, by what it covers.
func everyLaunch(t *testing.T) map[string]Launch {
	t.Helper()
	im := newImage(rand.New(rand.NewPCG(31, 32)), P010, 99, 51, 0)
	slot := Slot{Width: 65, Height: 33, Layout: NCHW, Type: F16, Order: RGB, Fit: LetterboxCenter}
	fill, _, err := LaunchPreprocess(slot, &im.Picture, 4096)
	if err != nil {
		t.Fatal(err)
	}
	thumbnail, err := LaunchThumbnail(&im.Picture, 32, 17, 4096)
	if err != nil {
		t.Fatal(err)
	}
	cut, err := LaunchCut(&im.Picture, Crop{X: 2, Width: 65, Height: 15, Format: NV12}, 4096)
	if err != nil {
		t.Fatal(err)
	}
	c := Candidates{Rows: 5, Classes: 80, Room: 300}
	return map[string]Launch{
		"2 5 1": fill, "1 3 1": thumbnail, "1 1 1": cut,
		"2 1 5 heads":   c.LaunchNanoDet(HeadOutput{Columns: 20, Rows: 20, Stride: 8}, 8),
		"33 1 5 v8":     c.LaunchYOLOv8(0, 8400),
		"99 1 5 v5":     c.LaunchYOLOv5(0, 25200),
		"1 1 5 x":       c.LaunchYOLOX(0, 64, 64),
		"2 1 5 queries": c.LaunchDETR(QueryOutput{Count: 300}, 640, 640),
		"1 1 5 nms":     c.LaunchNMS(Suppression{Limit: 300}),
	}
}

// A launch names a kernel that is there, gives it all of its parameters, covers what
// there is with blocks of 256 threads, and no kernel goes without a launch.
func TestLaunchesFitTheKernels(t *testing.T) {
	parameters := map[string]int{}
	for _, entry := range regexp.MustCompile(`(?s)\.entry (\w+)\((.*?)\n\)`).FindAllStringSubmatch(ptx.Text, -1) {
		parameters[entry[1]] = strings.Count(entry[2], ".param")
	}
	used := map[string]bool{}
	for grid, l := range everyLaunch(t) {
		if n, ok := parameters[l.Kernel]; !ok || n != len(l.Args) {
			t.Errorf("%s takes %d arguments, is given %d", l.Kernel, n, len(l.Args))
		}
		if got := fmt.Sprintf("%d %d %d", l.Grid[0], l.Grid[1], l.Grid[2]); !strings.HasPrefix(grid, got) {
			t.Errorf("%s has a grid of %s, want %s", l.Kernel, got, grid)
		}
		if l.Block[0]*l.Block[1]*l.Block[2] != blockSize {
			t.Errorf("%s has blocks of %d", l.Kernel, l.Block)
		}
		used[l.Kernel] = true
	}
	for kernel := range parameters {
		if !used[kernel] {
			t.Errorf("nothing launches %s", kernel)
		}
	}
}

func TestLaunchesRefuse(t *testing.T) {
	im := newImage(rand.New(rand.NewPCG(33, 34)), NV12, 9, 9, 0)
	slot := Slot{Width: 8, Height: 8, Layout: NHWC, Type: U8, Order: RGB, Fit: Stretch}
	broken := im.Picture
	broken.Width = 0
	if _, _, err := LaunchPreprocess(slot, &broken, 0); err == nil {
		t.Error("a picture without width is accepted")
	}
	if _, _, err := LaunchPreprocess(Slot{}, &im.Picture, 0); err == nil {
		t.Error("a slot without size is accepted")
	}
	if _, err := LaunchThumbnail(&im.Picture, 0, 5, 0); err == nil {
		t.Error("a thumbnail without width is accepted")
	}
	if _, err := LaunchCut(&im.Picture, Crop{X: 1, Width: 2, Height: 2, Format: NV12}, 0); err == nil {
		t.Error("an odd corner is accepted")
	}
}

func TestWants(t *testing.T) {
	for classes, size := range map[int]int{1: 8, 4: 8, 5: 16, 80: 88} {
		if got := WantSize(classes); got != size {
			t.Errorf("%d classes take %d bytes, want %d", classes, got, size)
		}
	}
	dst := slices.Repeat([]byte{9}, 16)
	PutWant(dst, 5, []bool{true, false, false, true, false}, .25)
	if want := []byte{0, 0, 0x80, 0x3e, 1, 0, 0, 1, 0, 9, 9, 9, 9, 9, 9, 9}; !slices.Equal(dst, want) {
		t.Errorf("%v, want %v", dst, want)
	}
	PutWant(dst, 5, nil, 0)
	if want := []byte{0, 0, 0, 0, 1, 1, 1, 1, 1}; !slices.Equal(dst[:9], want) {
		t.Errorf("%v, want %v", dst[:9], want)
	}
}

func TestReadResult(t *testing.T) {
	boxes := []Box{{X1: 1, X2: 2, Y2: 3, Score: .5, Class: 7, Anchor: 9}, {Score: .25, Anchor: 11}}
	result := func(kept, candidates, lost int) []byte {
		out := make([]byte, ResultSize(2))
		for i, n := range []int{kept, candidates, lost} {
			binary.NativeEndian.PutUint32(out[4*i:], uint32(n))
		}
		copy(out[len(out)-2*BoxSize:], unsafe.Slice((*byte)(unsafe.Pointer(&boxes[0])), 2*BoxSize))
		return out
	}
	for kept := range 3 {
		got, err := ReadResult(result(kept, 40, 0), []Box{{Class: 1}})
		if err != nil || got[0].Class != 1 || !slices.Equal(got[1:], boxes[:kept]) {
			t.Errorf("%d kept: %+v, %v", kept, got, err)
		}
	}
	for name, bad := range map[string][]byte{
		"candidates lost":  result(2, 400, 100),
		"more than fit":    result(3, 3, 0),
		"less than none":   result(-1, 3, 0),
		"half of a header": result(0, 0, 0)[:16],
	} {
		if _, err := ReadResult(bad, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
