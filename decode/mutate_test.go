package decode_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/ingest"
	"sightline/internal/testkit"
)

// mutationClips have two groups of pictures or more, the last of which stays whole.
var mutationClips = []struct {
	name string
	args []string
}{
	{"h264.mkv", []string{"-c:v", "libx264", "-x264-params", "keyint=8:bframes=2:scenecut=0"}},
	{"h264-slices.mkv", []string{"-c:v", "libx264", "-x264-params", "keyint=8:bframes=0:scenecut=0:slices=3:cabac=0"}},
	{"h264-refresh.mkv", []string{"-c:v", "libx264", "-x264-params", "intra-refresh=1:keyint=8:bframes=0"}},
	{"h265.mkv", []string{"-c:v", "libx265", "-x265-params", "log-level=none:keyint=8:min-keyint=8:bframes=3:scenecut=0"}},
	{"vp8.webm", []string{"-c:v", "libvpx", "-g", "8", "-b:v", "300k"}},
	{"vp9.webm", []string{"-c:v", "libvpx-vp9", "-g", "8", "-b:v", "300k", "-cpu-used", "8", "-lag-in-frames", "0"}},
	{"av1.mkv", []string{"-c:v", "libsvtav1", "-preset", "12", "-g", "8"}},
	{"mjpeg.mkv", []string{"-c:v", "mjpeg", "-pix_fmt", "yuvj420p"}},
	{"mpeg2.mkv", []string{"-c:v", "mpeg2video", "-bf", "2", "-g", "8"}},
	{"mpeg4.mkv", []string{"-c:v", "mpeg4", "-bf", "2", "-g", "8"}},
}

type mutant struct {
	name   string
	list   []ingest.Packet
	last   int // packet of the last keyframe
	want   map[time.Duration]uint64
	hasher decodetest.Hasher
}

func mutants(t *testing.T) (out []mutant) {
	for _, c := range mutationClips {
		all := append([]string{"-f", "lavfi", "-i", "testsrc2=size=96x80:rate=25,noise=alls=10:allf=t:all_seed=1", "-frames:v", "24"}, c.args...)
		m := mutant{name: c.name, list: packets(t, testkit.Clip(t, c.name, all...)), hasher: decodetest.NewHasher()}
		_, m.want = whole(t, m.list, m.hasher)
		for i, p := range m.list {
			if p.Keyframe && startsClean(p) && i <= 16 {
				m.last = i
			}
		}
		out = append(out, m)
	}
	return out
}

// mutate flips, overwrites, cuts and doubles bytes of some packets before the last
// keyframe, or all of them where there is no other.
func (m mutant) mutate(r *rand.Rand) []ingest.Packet {
	list := append([]ingest.Packet(nil), m.list...)
	for range 1 + r.IntN(4) {
		at := r.IntN(max(m.last, 1))
		if m.last == 0 {
			at = r.IntN(len(list))
		}
		p := &list[at]
		data := append(make([]byte, 0, len(p.Data)+ingest.PacketPadding), p.Data...)
		switch r.IntN(6) {
		case 0: // heads are where sizes are
			data[r.IntN(min(len(data), 48))] ^= 1 << r.IntN(8)
		case 1, 2:
			for range 1 + r.IntN(32) {
				data[r.IntN(len(data))] ^= 1 << r.IntN(8)
			}
		case 3:
			for from, n := r.IntN(len(data)), r.IntN(40); n > 0 && from < len(data); n, from = n-1, from+1 {
				data[from] = byte(r.Uint32())
			}
		case 4:
			data = data[:1+r.IntN(len(data))]
		case 5:
			other := m.list[r.IntN(len(m.list))].Data
			data = append(data[:r.IntN(len(data))], other[r.IntN(len(other)):]...)
		}
		p.Data = data
	}
	return list
}

// mutations decodes count damaged streams of every codec, and wants no crash, no
// leak, and from the last keyframe on all pictures as they should be, but for a few
// that are marked (with frame threads, which tell late and of no packet in
// particular, any may be).
func mutations(t *testing.T, count int, seed uint64) {
	all := mutants(t)
	before := 0
	failed, marked, shown, unsure := 0, 0, 0, 0
	for i := range count {
		if i == min(count/4, 500) {
			before = resident(t) // allocators and codecs' tables are warm
		}
		m := all[i%len(all)]
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		list := m.mutate(r)
		live := &decode.Live{}
		config := decode.Config{Threads: 1 + 2*r.IntN(2), Live: r.IntN(3) > 0, Frames: live}
		d, err := decode.New(config)
		if err != nil {
			t.Fatal(err)
		}
		right, wrong, held := 0, 0, 0
		frameThreads := !config.Live && config.Threads > 1
		emit := func(f *decode.Frame) error {
			defer f.Release()
			decodetest.Luma(f) // reads every row
			if shown++; f.Damaged {
				marked++
			}
			switch whole := m.hasher.Sum(f) == m.want[f.PTS]; {
			case m.last == 0 || f.PTS < m.list[m.last].PTS:
			case whole && (!f.Damaged || frameThreads):
				right++
			case f.Damaged:
				held++
			default:
				wrong++
			}
			return nil
		}
		for j, p := range list {
			if d.Decode(p, emit) != nil {
				failed++
			}
			if j == m.last-1 && m.last > 0 && i%3 == 0 {
				d.Flush(emit)
			}
		}
		d.Flush(emit)
		d.Close()
		if want := atOrAfter(m.list, m.last); m.last > 0 && right < want {
			text := fmt.Sprintf("mutation %d of %s: %d of %d pictures are right from the last keyframe on, %d are marked, %d wrong (%d threads, live %v)",
				i, m.name, right, want, held, wrong, config.Threads, config.Live)
			if t.Log(text); wrong > 0 && !frameThreads {
				t.Error("unmarked pictures are wrong")
			}
			unsure++
		}
		if bytes := d.(decode.Informer).Info().Held; live.Frames() != 0 || live.Bytes() != 0 || bytes != 0 {
			t.Fatalf("mutation %d of %s: %d frames out, %d bytes held", i, m.name, live.Frames(), bytes)
		}
	}
	grown := resident(t) - before
	t.Logf("%d mutations: %d packets refused, %d pictures of which %d marked; resident memory grew by %d KiB after the first quarter", count, failed, shown, marked, grown>>10)
	if unsure > count/500 {
		t.Errorf("%d of %d streams did not recover at their last keyframe", unsure, count)
	}
	if grown > 48<<20 {
		t.Errorf("resident memory grew by %d MiB", grown>>20)
	}
}

func atOrAfter(list []ingest.Packet, at int) (n int) {
	for _, p := range list {
		if p.PTS >= list[at].PTS {
			n++
		}
	}
	return n
}

func TestMutations(t *testing.T) { mutations(t, 500, 1) }
