package pipelines

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
)

// TestADamagedStreamIsToldOnceAMinute breaks every tenth packet of three minutes.
func TestADamagedStreamIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		packets := ingesttest.H264(3*60*5, 5, 200*time.Millisecond)
		source := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{{Packets: packets}}}
		broken := 0
		d := &fakeDecoder{refuse: func(p ingest.Packet) error {
			if int(p.PTS/(200*time.Millisecond))%10 == 7 {
				broken++
				return errors.New("a torn slice")
			}
			return nil
		}}
		s, fake := newTestStream(t, false, source, d)
		if err := s.run(t.Context()); err != nil {
			t.Error(err)
		}
		told := 0
		for _, what := range fake.got {
			if strings.HasPrefix(what, "degraded damaged") {
				told++
			}
		}
		if told != 3 {
			t.Errorf("told %d times in three minutes, want 3: %q", told, fake.got)
		}
		if l := settledLedger(t, s); broken != 90 || l.Undecoded["damaged"] != 90 {
			t.Errorf("%d broken, account %+v", broken, l)
		}
	})
}
