// Package eval measures detections and tracks against ground truth: average
// precision, precision and recall, CLEAR MOT, IDF1, HOTA, and the error of line
// counts.
package eval

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"sightline/detect"
)

// Truth is one annotated object in one frame, in pixels.
type Truth struct {
	Track int
	Box   detect.Rect
}

// GroundTruth is what is known of a video: the objects of every frame, frames
// counted from 1.
type GroundTruth struct {
	Frames map[int][]Truth
	Last   int // the last frame of the annotation
}

// ReadMOT reads ground truth in MOTChallenge text form: frame, track, x, y,
// width, height and optionally confidence and more, separated by commas. Rows
// with confidence 0 are to be ignored by the challenge's rules, and are. Errors
// name the line.
func ReadMOT(r io.Reader) (GroundTruth, error) {
	g := GroundTruth{Frames: map[int][]Truth{}}
	seen := map[[2]int]int{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		frame, t, ignored, err := parseMOT(text)
		if err != nil {
			return GroundTruth{}, fmt.Errorf("line %d: %w", n, err)
		}
		g.Last = max(g.Last, frame)
		if ignored {
			continue
		}
		if was, ok := seen[[2]int{frame, t.Track}]; ok {
			return GroundTruth{}, fmt.Errorf("line %d: track %d is in frame %d twice, first in line %d", n, t.Track, frame, was)
		}
		seen[[2]int{frame, t.Track}] = n
		g.Frames[frame] = append(g.Frames[frame], t)
	}
	if err := lines.Err(); err != nil {
		return GroundTruth{}, fmt.Errorf("read ground truth: %w", err)
	}
	if g.Last == 0 {
		return GroundTruth{}, fmt.Errorf("the ground truth is empty")
	}
	return g, nil
}

func parseMOT(text string) (frame int, t Truth, ignored bool, err error) {
	fields := strings.Split(text, ",")
	if len(fields) < 6 {
		return 0, t, false, fmt.Errorf("%d fields, want frame, track, x, y, width, height", len(fields))
	}
	var v [7]float64
	v[6] = 1
	for i := range min(len(fields), len(v)) {
		if v[i], err = strconv.ParseFloat(strings.TrimSpace(fields[i]), 64); err != nil || math.IsNaN(v[i]) || math.IsInf(v[i], 0) {
			return 0, t, false, fmt.Errorf("field %d: %q is not a number", i+1, fields[i])
		}
	}
	frame, t.Track = int(v[0]), int(v[1])
	if float64(frame) != v[0] || float64(t.Track) != v[1] || frame < 1 {
		return 0, t, false, fmt.Errorf("frame %v, track %v: want whole numbers, frames from 1", v[0], v[1])
	}
	if v[4] <= 0 || v[5] <= 0 {
		return 0, t, false, fmt.Errorf("box of %v x %v", v[4], v[5])
	}
	t.Box = detect.Rect{X: v[2], Y: v[3], W: v[4], H: v[5]}
	return frame, t, v[6] == 0, nil
}
