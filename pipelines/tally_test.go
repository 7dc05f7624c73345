package pipelines

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestTallyIsWhatTheEventsSay holds the numbers against counts made from the text of
// the events that a run has written, of two streams.
func TestTallyIsWhatTheEventsSay(t *testing.T) {
	p, all := play(t, reproducible+", fps: 5, input: 256x192", 2, 240, 0)
	want := map[string]float64{}
	for _, e := range all {
		var ev struct {
			Data struct {
				Stream struct{ Name string }
				Rule   struct{ Name string }
				Object struct{ Class string }
				Line   struct{ Name, Direction string }
				Zone   struct {
					Name      string
					DwellS    float64 `json:"dwell_s"`
					Occupancy float64
				}
			}
		}
		if err := json.Unmarshal([]byte(e.raw), &ev); err != nil {
			t.Fatal(err)
		}
		d := ev.Data
		zone := fmt.Sprint(d.Stream.Name, " ", d.Zone.Name, " ", d.Rule.Name, " ", d.Object.Class, " ")
		switch e.Type {
		case "line.crossed":
			want[fmt.Sprint("crossed ", d.Stream.Name, " ", d.Line.Name, " ", d.Rule.Name, " ", d.Object.Class, " ", d.Line.Direction)]++
		case "zone.entered":
			want["entered "+zone]++
		case "zone.exited":
			want["exited "+zone]++
			want["visited "+zone] += d.Zone.DwellS
		case "zone.dwell":
			want["dwelt "+zone]++
		case "zone.occupancy":
			want[fmt.Sprint("occupancy ", d.Stream.Name, " ", d.Zone.Name, " ", d.Rule.Name, "  ")] = d.Zone.Occupancy
		case "object.started":
			want[fmt.Sprint("started ", d.Stream.Name, "   ", d.Object.Class, " ")]++
		case "object.ended":
			want[fmt.Sprint("ended ", d.Stream.Name, "   ", d.Object.Class, " ")]++
		}
	}
	got := map[string]float64{}
	for k, v := range p.Tally() {
		got[fmt.Sprint(k.What, " ", k.Stream, " ", k.Place, " ", k.Rule, " ", k.Class, " ", k.Direction)] = v
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
		t.Errorf("-counted +tally:\n%s", diff)
	}
	if len(want) < 14 {
		t.Errorf("the run has little to say: %v", want)
	}
}
