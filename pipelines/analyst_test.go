package pipelines

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sightline/detect"
)

// fakeAnalysis notes what it is told, in order.
type fakeAnalysis struct {
	mu  sync.Mutex
	got []string
}

func (f *fakeAnalysis) Runs(detect.Model) {}
func (f *fakeAnalysis) note(what string) []detect.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, what)
	return nil
}

func (f *fakeAnalysis) Online(epoch string, _ time.Time) []detect.Event {
	return f.note("online " + epoch)
}
func (f *fakeAnalysis) Apply(s detect.Scene) []detect.Event {
	return f.note(s.At.UTC().Format("frame 05"))
}
func (f *fakeAnalysis) Advance(time.Time) []detect.Event { return f.note("advance") }
func (f *fakeAnalysis) Offline(r detect.ReasonInfo, at time.Time) []detect.Event {
	return f.note("offline " + r.Code + at.UTC().Format(" 05"))
}
func (f *fakeAnalysis) Degraded(r detect.ReasonInfo, at time.Time) []detect.Event {
	return f.note("degraded " + r.Code + at.UTC().Format(" 05"))
}
func (f *fakeAnalysis) Account(_ detect.Ledger, at time.Time) []detect.Event {
	return f.note("account" + at.UTC().Format(" 05"))
}

type noTracks struct{}

func (noTracks) Update(time.Time, detect.Rect, []detect.Detection) []detect.Track { return nil }

func TestResultsAreAnalyzedInFrameOrder(t *testing.T) {
	fake, released := &fakeAnalysis{}, 0
	l := newLedger()
	a := (&analyst{
		analysis: fake, tracker: func() detect.Tracker { return noTracks{} }, sampler: newGridSampler(0, SkipNone, nil),
		ledger: l, status: &state{}, emit: func([]detect.Event) {}, release: func() { released++ },
		sinks: func() map[string]detect.SinkLedger { return nil },
		warn:  func(string, error) {}, settle: func() {},
	}).prepare()
	done := make(chan struct{})
	go func() { a.run(); close(done) }()

	at := func(s int64) *row { return &row{seq: uint64(s), meta: frameMeta{captured: time.Unix(s, 0)}} }
	a.deliver(at(4)) // the third frame overtakes the others
	a.control(1, control{epoch: "e", at: time.Unix(1, 0)})
	a.deliver(at(3))
	a.control(5, control{end: &detect.ReasonInfo{Code: "ended"}})
	a.deliver(at(2))
	a.close(5)
	<-done

	want := []string{"online e", "frame 02", "frame 03", "frame 04", "offline ended 04", "account 04"}
	if !slices.Equal(fake.got, want) {
		t.Errorf("analyzed %q, want %q", fake.got, want)
	}
	if got := l.snapshot(); got.Inferred != 3 || released != 3 {
		t.Errorf("%d inferred and %d released, want 3 and 3", got.Inferred, released)
	}
}

// TestAFileIsDatedByItsFrames plays one in real time beyond the moment when
// accounts are due: the clock must not run ahead of the frames.
func TestAFileIsDatedByItsFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeAnalysis{}
		a := (&analyst{
			analysis: fake, tracker: func() detect.Tracker { return noTracks{} }, sampler: newGridSampler(0, SkipNone, nil),
			ledger: newLedger(), status: &state{}, emit: func([]detect.Event) {}, release: func() {}, settle: func() {},
			sinks: func() map[string]detect.SinkLedger { return nil }, warn: func(string, error) {},
		}).prepare()
		done := make(chan struct{})
		go func() { a.run(); close(done) }()
		a.control(1, control{epoch: "e", at: time.Unix(7, 0)})
		time.Sleep(accountEvery + time.Second)
		a.deliver(&row{seq: 2, meta: frameMeta{captured: time.Unix(8, 0)}})
		a.control(3, control{end: &detect.ReasonInfo{Code: "ended"}})
		a.close(3)
		<-done
		if want := []string{"online e", "account 07", "frame 08", "offline ended 08", "account 08"}; !slices.Equal(fake.got, want) {
			t.Errorf("told %q, want %q", fake.got, want)
		}
	})
}
