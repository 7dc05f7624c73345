package pipelines

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/detect"
	"sightline/internal/testkit"
)

const (
	markBits  = 7 // of a picture's number, as blocks in its upper left corner
	markBlock = 16
	marks     = 60
)

// markedStreet is vtest.mp4's beginning with each picture's number in it, from 0:
// a row of blocks, white for 1, above a row with its complement.
func markedStreet(t *testing.T) string {
	draw := []string{fmt.Sprintf("drawbox=w=%d:h=%d:color=black:t=fill", markBits*markBlock, 2*markBlock)}
	for bit := range markBits {
		for row, on := range []string{"", "1-"} {
			draw = append(draw, fmt.Sprintf("drawbox=x=%d:y=%d:w=%[3]d:h=%[3]d:color=white:t=fill:enable='%smod(floor(n/%d),2)'",
				bit*markBlock, row*markBlock, markBlock, on, 1<<bit))
		}
	}
	return testkit.Clip(t, "street.mp4", "-i", media(t, "vtest.mp4"), "-vf", strings.Join(draw, ","), "-frames:v", fmt.Sprint(marks),
		"-c:v", "libx264", "-x264-params", "bframes=2:b-adapt=0:keyint=10:scenecut=0")
}

// markOf reads a picture's number; -1 where its rows contradict each other.
func markOf(f *decode.Frame) (n int) {
	luma := func(x, y int) byte { return *(*byte)(unsafe.Add(f.Planes[0].Data, y*f.Planes[0].Stride+x)) }
	for bit := range markBits {
		x := bit*markBlock + markBlock/2
		white, opposite := luma(x, markBlock/2) > 126, luma(x, markBlock*3/2) > 126
		if white == opposite {
			return -1
		}
		if white {
			n |= 1 << bit
		}
	}
	return n
}

var pixelSeed = maphash.MakeSeed()

// sighted is what was seen of a frame on its way, and told of it.
type sighted struct {
	mu     sync.Mutex
	frames map[uint64]decode.Frame
	marks  map[uint64]int
	sums   map[uint64]uint64 // of the pixels
	told   map[uint64]*detect.Event
}

// watch runs a pipeline of one stream until enough frames were seen and told of.
func watch(t *testing.T, url, keys string, enough int) *sighted {
	t.Helper()
	s := &sighted{frames: map[uint64]decode.Frame{}, marks: map[uint64]int{}, sums: map[uint64]uint64{}, told: map[uint64]*detect.Event{}}
	o := parts(t)
	o.OnEvent = func(e *detect.Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if e.Type == detect.Detections {
			s.told[e.Data.Frame.Index] = e
		}
	}
	p := build(t, fmt.Sprintf(`version: 1
name: exact
detect: { engine: onnxruntime, precision: f32, batch: { max: 1 }, classes: [person] }
decode: { skip: none }
streams: { gate: { url: "%s", %s } }
sinks: [{ kind: jsonl, path: '%s', types: [detections] }]
`, url, keys, filepath.Join(t.TempDir(), "events.jsonl")), o)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	frames := p.WatchFrames("gate", 4*marks)
	var watching sync.WaitGroup
	watching.Go(func() {
		for f := range frames.C {
			s.see(f)
			f.Release()
			if s.both() >= enough {
				cancel()
			}
		}
	})
	if err := p.Run(ctx); err != nil && s.both() < enough {
		t.Error(err)
	}
	frames.Close()
	watching.Wait()
	return s
}

func (s *sighted) see(f *decode.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames[f.Index], s.marks[f.Index], s.sums[f.Index] = *f, markOf(f), maphash.Bytes(pixelSeed, decodetest.Luma(f))
}

// both is how many frames were seen and told of.
func (s *sighted) both() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for index := range s.told {
		if _, seen := s.frames[index]; seen {
			n++
		}
	}
	return n
}

// TestBoxesAreOfTheirPicture compares what is told of a camera's pictures, over
// RTSP and UDP, box by box with what a file's give: the number in the picture
// that an event names decides which belong together.
func TestBoxesAreOfTheirPicture(t *testing.T) {
	street := markedStreet(t)
	truth := watch(t, "file:"+street, "pace: fastest, detect: { fps: all }", marks)
	boxes, people := map[int][]detect.Rect{}, 0
	for index, e := range truth.told {
		if mark := truth.marks[index]; mark != int(index)-1 {
			t.Fatalf("frame %d of the file holds picture %d", index, mark)
		}
		for _, o := range *e.Data.Objects {
			boxes[int(index)-1] = append(boxes[int(index)-1], o.BBox)
			people++
		}
	}
	if len(boxes) < marks*3/4 || people < 2*marks {
		t.Fatalf("%d people in %d pictures", people, len(boxes))
	}
	live := watch(t, serve(t, "", street).URL("main"), "transport: udp, detect: { fps: 5 }", 25)
	compared, settled := 0, false
	for _, index := range slices.Sorted(maps.Keys(live.told)) {
		e, f := live.told[index], live.frames[index]
		if f.Index != index {
			continue // told of, and not seen here
		}
		mark := live.marks[index]
		if pts := float64(f.PTS) / float64(time.Millisecond); mark < 0 || math.Abs(e.Data.Frame.PTSMs-pts) > 0.001 || e.Time.Sub(f.Captured).Abs() > time.Microsecond {
			t.Fatalf("frame %d holds picture %d, shown at %v, captured %v; told %+v, %v", index, mark, f.PTS, f.Captured, e.Data.Frame, e.Time)
		}
		if live.sums[index] != truth.sums[uint64(mark+1)] {
			t.Fatalf("picture %d is not that of the file", mark)
		}
		same := slices.EqualFunc(*e.Data.Objects, boxes[mark], sameBox)
		// The first pictures go through the network in another shape, until the
		// right one is compiled.
		if settled = settled || same; settled && !same {
			t.Fatalf("picture %d: %+v, in the file %v", mark, *e.Data.Objects, boxes[mark])
		} else if settled {
			compared += len(boxes[mark])
		}
	}
	if compared < 50 {
		t.Errorf("only %d boxes were compared", compared)
	}
}

func sameBox(o detect.Box, want detect.Rect) bool {
	return math.Abs(o.BBox.X-want.X)+math.Abs(o.BBox.Y-want.Y)+math.Abs(o.BBox.W-want.W)+math.Abs(o.BBox.H-want.H) < 1e-4
}
