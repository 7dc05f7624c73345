package cli

import (
	"strings"
	"testing"
	"time"

	"sightline/pipelines"
	"sightline/pipelines/optimization"
)

func TestStatusSaysHowANetworkIsDoing(t *testing.T) {
	at := time.Unix(0, 0).UTC()
	const since = "1970-01-01T00:00:00Z"
	made := &optimization.Made{Recall: .985, Precision: .99, Speedup: 2.42}
	of := func(m optimization.Status) *pipelines.OptimizeStatus {
		m.Wanted = 160
		return &pipelines.OptimizeStatus{Mode: "general", Working: "original", Budget: .97, Making: &m}
	}
	waits := of(optimization.Status{State: "ready", Made: made})
	waits.Waits = "next_start"
	const ready = "  optimized network (general): ready, recall 0.985 and precision 0.990 when it was made, 2.4 times as fast\n"
	for name, c := range map[string]struct {
		status *pipelines.OptimizeStatus
		want   string
	}{
		"none": {nil, ""},
		"collecting": {of(optimization.Status{State: "collecting", Pictures: 40, Left: 449.5}),
			"  optimized network (general): collecting pictures, 40 of 160, about 7m30s left\n"},
		"begins": {of(optimization.Status{State: "compiling", Failures: 1}), "  optimized network (general): compiling, could not be made 1 time\n"},
		"compiling": {of(optimization.Status{State: "compiling", Step: "comparing", Done: 12, Of: 29, Left: 42}),
			"  optimized network (general): compiling: comparing, 12 of 29, about 42s left in this step\n"},
		"retrying": {of(optimization.Status{State: "retrying", Failures: 2, Retry: &at, Reason: "signal: killed"}),
			"  optimized network (general): retrying, could not be made 2 times, again at " + since + ": signal: killed\n"},
		"refused":        {of(optimization.Status{State: "refused", Reason: "recall is 0.9431"}), "  optimized network (general): refused: recall is 0.9431\n"},
		"waits":          {waits, ready + "  the original network works, the other is taken at the next start; looks skipped 0, failed 0\n"},
		"falls just now": {&pipelines.OptimizeStatus{Mode: "scene", Working: "optimized", Falls: 1}, "  the optimized network works; looks skipped 0, failed 0\n"},
		"fell back": {&pipelines.OptimizeStatus{Mode: "scene", Working: "original", Budget: .97, Recall: .44, Precision: .75, Window: 1, Falls: 1, Since: &at,
			Reason: "it finds 44.0 %", Looks: pipelines.LookCounts{Done: 1, Skipped: 3}},
			"  the original network works; over 1 look the optimized one has recall 0.440 and precision 0.750, at least 0.970 is wanted; looks skipped 3, failed 0\n" +
				"  the original had to take over 1 time; since " + since + " the original works: it finds 44.0 %\n"},
	} {
		var out strings.Builder
		if printOptimized(&out, c.status); out.String() != c.want {
			t.Errorf("%s: it says\n%swant\n%s", name, out.String(), c.want)
		}
	}
}
