package decode_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/ingest"
	"sightline/internal/testkit"
)

// lossClips are streams of every structure that decides how far a loss reaches.
// Noise makes every picture depend on all of the one it refers to.
var lossClips = []struct {
	name string
	args []string
}{
	{"h264-p.mkv", []string{"-c:v", "libx264", "-x264-params", "bframes=0:keyint=24:scenecut=0"}},
	{"h264-b.mkv", []string{"-c:v", "libx264", "-x264-params", "bframes=3:b-adapt=0:b-pyramid=none:keyint=24:scenecut=0"}},
	{"h264-pyramid-open.mkv", []string{"-c:v", "libx264", "-x264-params", "bframes=5:b-adapt=0:b-pyramid=normal:open-gop=1:keyint=24:min-keyint=24:scenecut=0:ref=6"}},
	{"h264-refresh.mkv", []string{"-c:v", "libx264", "-x264-params", "intra-refresh=1:bframes=0:keyint=24:scenecut=0"}},
	{"h264-refresh-b.mkv", []string{"-c:v", "libx264", "-x264-params", "intra-refresh=1:bframes=2:b-adapt=0:keyint=24:scenecut=0:ref=1"}},
	{"h264-slices-refs.mkv", []string{"-c:v", "libx264", "-x264-params", "slices=4:ref=8:bframes=2:keyint=24:scenecut=0"}},
	{"h264-interlaced.mkv", []string{"-c:v", "libx264", "-x264-params", "interlaced=1:bframes=2:keyint=24:scenecut=0"}},
	{"h265-closed.mkv", []string{"-c:v", "libx265", "-x265-params", "log-level=none:open-gop=0:bframes=3:keyint=24:min-keyint=24:scenecut=0"}},
	{"h265-open.mkv", []string{"-c:v", "libx265", "-x265-params", "log-level=none:open-gop=1:bframes=5:b-adapt=0:b-pyramid=1:keyint=24:min-keyint=24:scenecut=0"}},
	{"h265-radl.mkv", []string{"-c:v", "libx265", "-x265-params", "log-level=none:open-gop=0:radl=2:bframes=4:b-adapt=0:keyint=24:min-keyint=24:scenecut=0"}},
	{"h265-refresh.mkv", []string{"-c:v", "libx265", "-x265-params", "log-level=none:intra-refresh=1:bframes=0:keyint=24:min-keyint=24:scenecut=0"}},
	{"vp8.webm", []string{"-c:v", "libvpx", "-g", "24", "-auto-alt-ref", "1", "-lag-in-frames", "10", "-b:v", "300k"}},
	{"vp8-live.webm", []string{"-c:v", "libvpx", "-g", "24", "-deadline", "realtime", "-error-resilient", "1", "-b:v", "300k"}},
	{"vp9.webm", []string{"-c:v", "libvpx-vp9", "-g", "24", "-auto-alt-ref", "1", "-lag-in-frames", "10", "-b:v", "300k", "-cpu-used", "8"}},
	{"av1.mkv", []string{"-c:v", "libsvtav1", "-preset", "12", "-g", "24"}},
	{"mjpeg.mkv", []string{"-c:v", "mjpeg", "-pix_fmt", "yuvj420p"}},
	{"mpeg2.mkv", []string{"-c:v", "mpeg2video", "-bf", "2", "-g", "24"}},
	{"mpeg4.mkv", []string{"-c:v", "mpeg4", "-bf", "2", "-g", "24"}},
}

func lossClip(t testing.TB, name string, args []string) []ingest.Packet {
	all := append([]string{"-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25,noise=alls=10:allf=t:all_seed=1", "-frames:v", "120"}, args...)
	return packets(t, testkit.Clip(t, name, all...))
}

// lossPattern says which packets get lost; it is called in decoding order.
type lossPattern func(r *rand.Rand, i int, p ingest.Packet) bool

var lossPatterns = map[string]lossPattern{
	"one in fifty": func(r *rand.Rand, _ int, _ ingest.Packet) bool { return r.IntN(50) == 0 },
	"one in eight": func(r *rand.Rand, _ int, _ ingest.Packet) bool { return r.IntN(8) == 0 },
	"bursts":       func(r *rand.Rand, i int, _ ingest.Packet) bool { return i%31 >= 27-r.IntN(4) },
	"keyframes":    func(r *rand.Rand, _ int, p ingest.Packet) bool { return p.Keyframe && r.IntN(2) == 0 },
	"disposable":   func(r *rand.Rand, _ int, p ingest.Packet) bool { return p.Disposable && r.IntN(8) == 0 },
	"references":   func(r *rand.Rand, _ int, p ingest.Packet) bool { return !p.Disposable && r.IntN(12) == 0 },
	"the start":    func(_ *rand.Rand, i int, _ ingest.Packet) bool { return i < 5 },
}

// tally is what became of the packets of lossy streams.
type tally struct{ given, whole, doubted, needlessly int }

// original is a stream and what its pictures are when nothing is lost.
type original struct {
	name   string
	list   []ingest.Packet
	hasher decodetest.Hasher
	index  map[time.Duration]uint64
	sum    map[time.Duration]uint64
}

// TestStructures holds the decoder to what streams of every structure look like
// when nothing is lost or left out.
func TestStructures(t *testing.T) {
	for _, c := range lossClips {
		t.Run(c.name, func(t *testing.T) {
			o := original{
				name: c.name, list: lossClip(t, c.name, c.args), hasher: decodetest.NewHasher(),
				index: map[time.Duration]uint64{}, sum: map[time.Duration]uint64{},
			}
			run(t, decode.Defaults(), o.list, nil, func(f *decode.Frame) {
				if f.Damaged {
					t.Errorf("picture at %v of the whole stream is marked", f.PTS)
				}
				o.index[f.PTS], o.sum[f.PTS] = f.Index, o.hasher.Sum(f)
			})
			t.Run("loss", o.lossIsExact)
			t.Run("skipping", o.skippingIsExact)
			t.Run("keyframes only", o.keyframesOnly)
			if o.name[:4] == "h265" || o.name == "h264-p.mkv" || o.name == "h264-refresh.mkv" {
				t.Run("untold loss", o.untoldLoss)
			}
			if strings.Contains(o.name, "h264-refresh") { // x265 writes no recovery points
				t.Run("refresh start", o.refreshStart)
			}
		})
	}
}

// lossIsExact loses packets as networks do and wants every picture that is not
// marked to have all the samples of the same picture of the whole stream; and none
// marked from a clean keyframe on, until the next loss.
func (o original) lossIsExact(t *testing.T) {
	var sum tally
	for name, lost := range lossPatterns {
		for seed := range uint64(4) {
			config := decode.Config{Threads: 1, Live: true}
			if seed%4 == 3 {
				config = decode.Config{Threads: 3}
			}
			got := o.lossy(t, config, lost, rand.New(rand.NewPCG(seed, 7)), seed%2 == 1, false)
			if got.wrong > 0 {
				t.Errorf("%s, seed %d, %d threads: %d of %d unmarked pictures are not whole, the first at %v",
					name, seed, config.Threads, got.wrong, got.whole, got.firstWrong)
			}
			// Frame threads do not tell which packet an error is about.
			if got.late > 0 && config.Threads == 1 {
				t.Errorf("%s, seed %d, %d threads: %d pictures are marked after a clean keyframe, the first at %v", name, seed, config.Threads, got.late, got.firstLate)
			}
			sum.given += got.given
			sum.whole += got.whole
			sum.doubted += got.doubted
			sum.needlessly += got.needlessly
		}
	}
	t.Logf("of %d packets given %d gave whole pictures, %d (%.0f %%) marked ones, of which %d needlessly", sum.given, sum.whole,
		sum.doubted, 100*float64(sum.doubted)/float64(sum.given), sum.needlessly)
	if sum.whole < sum.given/20 {
		t.Errorf("only %d of %d pictures are whole", sum.whole, sum.given)
	}
}

type lossyResult struct {
	tally
	wrong, late           int
	firstWrong, firstLate time.Duration
}

// lossy decodes what is left of the stream, passing over some of what nothing
// depends on when skip is set.
func (o original) lossy(t *testing.T, c decode.Config, lost lossPattern, r *rand.Rand, skip, untold bool) (got lossyResult) {
	t.Helper()
	clean := map[time.Duration]bool{} // pictures that nothing was lost for since their keyframe
	whole, key := false, time.Duration(0)
	left := make([]ingest.Packet, 0, len(o.list))
	broken := false
	for i, p := range o.list {
		if lost(r, i, p) {
			broken, whole = true, false
			continue
		}
		p.Break, broken = broken && !untold, false
		if p.Keyframe && startsClean(p) {
			whole, key = true, p.PTS
		}
		clean[p.PTS] = whole && p.PTS >= key
		left = append(left, p)
	}
	pass := func(p ingest.Packet) bool { return skip && p.Disposable && r.IntN(2) == 0 }
	got.given = len(left)
	run(t, c, left, pass, func(f *decode.Frame) {
		same := o.hasher.Sum(f) == o.sum[f.PTS]
		switch {
		case f.Damaged:
			got.doubted++
			if same {
				got.needlessly++
			}
			if clean[f.PTS] {
				if got.late++; got.late == 1 {
					got.firstLate = f.PTS
				}
			}
		default:
			got.whole++
			if !same {
				if got.wrong++; got.wrong == 1 {
					got.firstWrong = f.PTS
				}
			}
		}
	})
	return got
}

// untoldLoss loses pictures that others refer to without a word: H.265 shows it by
// the pictures it says it refers to, H.264 by its frame numbers, which FFmpeg does
// not follow across pictures that nothing refers to.
func (o original) untoldLoss(t *testing.T) {
	for seed := range uint64(8) {
		config := decode.Config{Threads: 1 + 2*int(seed%2)}
		lost := func(r *rand.Rand, _ int, p ingest.Packet) bool {
			return !p.Keyframe && !p.Disposable && r.IntN(30) == 0
		}
		got := o.lossy(t, config, lost, rand.New(rand.NewPCG(seed, 7)), false, true)
		if got.wrong > 0 || got.whole == 0 {
			t.Errorf("seed %d, %d threads: %d of %d unmarked pictures are not whole, the first at %v", seed, config.Threads, got.wrong, got.whole, got.firstWrong)
		}
	}
}

// refreshStart begins in the middle of a stream that has one keyframe ever, at each
// of its recovery points.
func (o original) refreshStart(t *testing.T) {
	starts, recovered := 0, 0
	for i, p := range o.list {
		if i == 0 || !p.Keyframe { // the file's word for a recovery point
			continue
		}
		starts++
		unmarked := 0
		run(t, decode.Config{Threads: 1, Live: true}, o.list[i:], nil, func(f *decode.Frame) {
			if f.Damaged {
				return
			}
			if unmarked++; o.hasher.Sum(f) != o.sum[f.PTS] {
				t.Errorf("start at %v: the unmarked picture at %v is not whole", p.PTS, f.PTS)
			}
		})
		if unmarked > 0 {
			recovered++
		}
	}
	if recovered == 0 || starts < 2 {
		t.Errorf("%d of %d starts ever recovered", recovered, starts)
	}
}

// startsClean tells whether the file calls a packet a keyframe rightly: files call
// recovery points so, too.
func startsClean(p ingest.Packet) bool {
	if p.Codec != ingest.H264 {
		return true
	}
	key, _ := ingest.InspectH264(p.Data)
	return key
}

// run decodes packets, but those that pass says to skip, and flushes.
func run(t *testing.T, c decode.Config, list []ingest.Packet, pass func(ingest.Packet) bool, show func(*decode.Frame)) {
	t.Helper()
	c.Frames = decodetest.Live(t)
	d, err := decode.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	emit := func(f *decode.Frame) error {
		defer f.Release()
		show(f)
		return nil
	}
	for _, p := range list {
		if pass != nil && pass(p) {
			d.Skip(p)
			continue
		}
		d.Decode(p, emit) // an error is about one packet
	}
	d.Flush(emit)
}
