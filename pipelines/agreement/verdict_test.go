package agreement

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"sightline/detect/optimize"
)

func TestWilson(t *testing.T) {
	for _, c := range []struct {
		share float64
		n     int
		want  float64
	}{ // of the interval's formula, computed elsewhere
		{0, 8, .4534}, {.5, 10, .8160}, {.9, 40, .9697}, {1, 8, 1}, {.95, 1000, .9650},
	} {
		if got := wilson(c.share, c.n); math.Abs(got-c.want) > 5e-4 {
			t.Errorf("of %v in %d: %.4f, want %.4f", c.share, c.n, got, c.want)
		}
	}
}

// played plays looks one by one, at five inferences a second, and returns the
// seconds at which the other network was made to work.
func played(v *Verdict, seconds int, look func(second float64) optimize.Match) (turns []float64, looks int) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for n := uint64(1); n <= uint64(seconds*5); n++ {
		if !v.Due(n) {
			continue
		}
		looks++
		second := float64(n) / 5
		if v.Look(look(second), start.Add(time.Duration(second*float64(time.Second)))) {
			turns = append(turns, second)
		}
	}
	return turns, looks
}

// eyes are boxes that are found, and made up, with so much chance each.
func eyes(rng *rand.Rand, boxes int, recall, extra float64) optimize.Match {
	m := optimize.Match{Boxes: boxes}
	for range boxes {
		if rng.Float64() < recall {
			m.Found++
		}
		if rng.Float64() < extra {
			m.Extra++
		}
	}
	return m
}

func TestVerdict(t *testing.T) {
	const hour = 3600
	for _, c := range []struct {
		name           string
		boxes          int
		before, after  [2]float64 // recall, and extra boxes for each of the original's; from second 600 on
		within         float64    // seconds after that; 0: it does not fall back
		mostShareLooks float64    // of inferences
	}{
		{"all is well", 6, [2]float64{1, 0}, [2]float64{1, 0}, 0, .021},
		{"as promised, or better", 6, [2]float64{.985, .01}, [2]float64{.985, .01}, 0, .06},
		{"nothing is there", 0, [2]float64{1, 0}, [2]float64{1, 0}, 0, .021},
		{"blind", 6, [2]float64{.99, .01}, [2]float64{0, 0}, 30, 1},
		{"blind, and one is there", 1, [2]float64{.99, .01}, [2]float64{0, 0}, 45, 1},
		{"another scene, as measured", 4, [2]float64{.99, .01}, [2]float64{.44, .3}, 30, 1},
		{"sees what is not there", 4, [2]float64{.99, .01}, [2]float64{1, 1}, 30, 1},
		{"declines", 6, [2]float64{.99, .01}, [2]float64{.85, .01}, 600, 1},
	} {
		for seed := range uint64(100) {
			rng := rand.New(rand.NewPCG(seed, 1))
			v := &Verdict{Budget: .97, Every: 50}
			turns, looks := played(v, hour, func(second float64) optimize.Match {
				now := c.before
				if second > 600 {
					now = c.after
				}
				return eyes(rng, c.boxes, now[0], now[1])
			})
			switch {
			case c.within == 0 && len(turns) > 0:
				t.Errorf("%s, seed %d: fell back at %v", c.name, seed, turns)
			case c.within > 0 && (len(turns) != 1 || turns[0] < 600 || turns[0] > 600+c.within):
				t.Errorf("%s, seed %d: turned at %v", c.name, seed, turns)
			case c.within == 0 && float64(looks) > c.mostShareLooks*hour*5:
				t.Errorf("%s, seed %d: looked %d times", c.name, seed, looks)
			}
		}
	}
}

// It works again after the scene is back, later each time.
func TestVerdictReturns(t *testing.T) {
	v := &Verdict{Budget: .97, Every: 50}
	bad := func(second float64) bool { return second > 600 && second < 900 || second > 3000 && second < 3100 }
	turns, _ := played(v, 3*3600, func(second float64) optimize.Match {
		m := optimize.Match{Boxes: 5, Found: 5}
		if bad(second) {
			m.Found = 1
		}
		return m
	})
	if len(turns) != 4 || turns[1]-turns[0] < 600 || turns[1]-turns[0] > 900+400-600 || turns[3]-turns[2] < 1200 || turns[3]-turns[2] > 1300 {
		t.Errorf("turned at %v", turns)
	}
}
