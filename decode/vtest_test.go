package decode_test

import (
	"testing"

	"sightline/decode"
	"sightline/internal/testkit"
)

func TestSampleVideo(t *testing.T) {
	got := play(t, decode.Defaults(), packets(t, testkit.Dep(t, "media/vtest.avi")))
	if len(got) != 795 || got[794].Index != 795 || got[794].PTS.Seconds() != 79.4 {
		t.Errorf("%d frames, last %d at %v", len(got), got[len(got)-1].Index, got[len(got)-1].PTS)
	}
}
