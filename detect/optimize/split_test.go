package optimize

import (
	"slices"
	"testing"

	"sightline/decode"
)

// The gate's pictures are in no other part, every picture is in one, and no part is
// empty where there are as many as it takes.
func TestPartsAreDisjoint(t *testing.T) {
	for n := leastSplit; n < 100; n++ {
		frames := make([]*decode.Frame, n)
		for i := range frames {
			frames[i] = &decode.Frame{Index: uint64(10*i + 1)}
		}
		s := divide(frames)
		count := map[*decode.Frame]int{}
		for _, f := range slices.Concat(s.learn, s.choose, s.prove) {
			count[f]++
		}
		for _, f := range frames {
			if count[f] != 1 {
				t.Fatalf("of %d pictures number %d is in %d parts", n, f.Index, count[f])
			}
		}
		if len(s.learn) < n/4 || len(s.choose) < n/4 || len(s.prove) < n/2 {
			t.Errorf("%d pictures: %d to learn from, %d to choose by, %d to prove", n, len(s.learn), len(s.choose), len(s.prove))
		}
		var r Report
		s.noted(&r)
		for _, f := range frames {
			if proves := slices.Contains(s.prove, f); r.Known(int(f.Index)) == proves {
				t.Errorf("frame %d: known %t", f.Index, r.Known(int(f.Index)))
			}
		}
		if r.Pictures != len(s.prove) || r.Learned != len(s.learn) || r.Chosen != len(s.choose) {
			t.Errorf("told as %d, %d, %d", r.Learned, r.Chosen, r.Pictures)
		}
	}
}
