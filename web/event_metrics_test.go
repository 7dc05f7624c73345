package web

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sightline/pipelines/tally"
)

func TestEventMetrics(t *testing.T) {
	p := withStreams(newFake(t, onLoopback))
	p.tally = map[tally.Key]float64{
		{What: tally.Crossed, Stream: "gate", Place: "kerb", Rule: "in-out", Class: "person", Direction: "forward"}: 3,
		{What: tally.Crossed, Stream: "gate", Place: "kerb", Rule: "again", Class: "person", Direction: "forward"}:  2,
		{What: tally.Occupancy, Stream: "gate", Place: "door", Rule: "crowd"}:                                       4,
		{What: tally.Entered, Stream: "gate", Place: "door", Rule: "visits", Class: "car"}:                          5,
		{What: tally.Exited, Stream: "gate", Place: "door", Rule: "visits", Class: "car"}:                           6,
		{What: tally.Visited, Stream: "gate", Place: "door", Rule: "visits", Class: "car"}:                          7.5,
		{What: tally.Dwelt, Stream: "gate", Place: "door", Rule: "loitering", Class: "car"}:                         8,
		{What: tally.Started, Stream: "lobby", Class: "car"}:                                                        9,
		{What: tally.Ended, Stream: "lobby", Class: "car"}:                                                          10,
	}
	want := map[string]float64{
		"sightline_line_crossed_total,class=person,direction=forward,line=kerb,rule=in-out,stream=gate": 3,
		"sightline_line_crossed_total,class=person,direction=forward,line=kerb,rule=again,stream=gate":  2,
		"sightline_zone_occupancy,rule=crowd,stream=gate,zone=door":                                     4,
		"sightline_zone_entered_total,class=car,rule=visits,stream=gate,zone=door":                      5,
		"sightline_zone_exited_total,class=car,rule=visits,stream=gate,zone=door":                       6,
		"sightline_zone_visit_seconds_total,class=car,rule=visits,stream=gate,zone=door":                7.5,
		"sightline_zone_dwell_total,class=car,rule=loitering,stream=gate,zone=door":                     8,
		"sightline_objects_total,class=car,stream=lobby":                                                9,
		"sightline_objects_ended_total,class=car,stream=lobby":                                          10,
	}
	if diff := cmp.Diff(want, gathered(t, newEventCollector(p))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
