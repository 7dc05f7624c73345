package tally

import (
	"fmt"
	"math"
	"testing"

	"sightline/detect"
)

// A network with more classes than anybody looks at does not make numbers without end.
func TestClassesAreBounded(t *testing.T) {
	var y Tally
	for i := range 1000 {
		for _, stream := range []string{"a", "b"} {
			y.Add(&detect.Event{Stream: stream, Type: detect.ObjectStarted, Data: detect.Data{Object: &detect.Object{Class: fmt.Sprint("class ", i)}}})
		}
	}
	n := y.Numbers()
	if len(n) != 2*(mostClasses+1) {
		t.Errorf("%d numbers", len(n))
	}
	if n := n[Key{What: Started, Stream: "a", Class: otherClasses}]; math.Abs(n-(1000-mostClasses)) > 0 {
		t.Errorf("%v others", n)
	}
}
