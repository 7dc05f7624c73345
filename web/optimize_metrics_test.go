package web

import (
	"testing"

	"sightline/pipelines"
	"sightline/pipelines/optimization"
)

func TestMetricsOfOptimizedNetworks(t *testing.T) {
	p := withStreams(newFake(t, onLoopback))
	p.streams[0].Optimized = &pipelines.OptimizeStatus{
		Working: "original", Recall: .5, Precision: .75, Window: 9, Falls: 2, Looks: pipelines.LookCounts{Done: 9, Skipped: 3, Failed: 1},
		Making: &optimization.Status{State: "collecting", Pictures: 40, Failures: 2},
	}
	got := gathered(t, newOptimizeCollector(p))
	for name, want := range map[string]float64{
		"sightline_optimized_works,stream=gate":                    0,
		"sightline_shadow_recall_ratio,stream=gate":                .5,
		"sightline_shadow_precision_ratio,stream=gate":             .75,
		"sightline_shadow_looks_total,outcome=done,stream=gate":    9,
		"sightline_shadow_looks_total,outcome=skipped,stream=gate": 3,
		"sightline_shadow_looks_total,outcome=failed,stream=gate":  1,
		"sightline_shadow_falls_total,stream=gate":                 2,
		"sightline_optimize_state,state=collecting,stream=gate":    1,
		"sightline_optimize_failures_total,stream=gate":            2,
		"sightline_optimize_pictures,stream=gate":                  40,
	} {
		if have, ok := got[name]; !ok || have != want {
			t.Errorf("%s is %v (there: %v), want %v", name, have, ok, want)
		}
	}
	if len(got) != 10 {
		t.Errorf("%d metrics: %v", len(got), got)
	}
}
