package optimize

import (
	"log/slog"
	"testing"

	"sightline/internal/testkit"
)

// More pictures can be kept than a decoder has room for, and they stay as they were.
func TestFramesAreOurOwn(t *testing.T) {
	video := testkit.Dep(t, "media/vtest.avi")
	log := slog.New(slog.DiscardHandler)
	many, err := Frames(t.Context(), video, 1, 120, log)
	if err != nil {
		t.Fatal(err)
	}
	defer Release(many)
	few, err := Frames(t.Context(), video, 1, 2, log)
	if err != nil {
		t.Fatal(err)
	}
	defer Release(few)
	if len(many) != 120 || digest(many[:2]) != digest(few) || digest(many[118:119]) == digest(many[119:]) {
		t.Errorf("%d pictures, the first two the same: %v", len(many), digest(many[:2]) == digest(few))
	}
}
