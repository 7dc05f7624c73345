package snapshot

import (
	"image"
	"slices"

	"gocv.io/x/gocv"

	"sightline/detect"
)

const (
	mosaicCells = 6   // along the longer side of a box: less than two for a person's head
	mosaicEdge  = 0.1 // by which a box grows on each side, as boxes are seldom quite right
)

// Hidden lists what must be unrecognizable in every picture of a frame: all boxes
// of the classes, however low their score, and where the tracker believes objects
// of these classes to be though none was found this time.
func Hidden(classes []string, dets []detect.Detection, tracks []detect.Track) []detect.Rect {
	if len(classes) == 0 {
		return nil
	}
	var boxes []detect.Rect
	for _, d := range dets {
		if slices.Contains(classes, d.Class) {
			boxes = append(boxes, d.Box)
		}
	}
	for _, t := range tracks {
		if slices.Contains(classes, t.Class) {
			boxes = append(boxes, t.Box)
		}
	}
	return boxes
}

// obscure replaces a box by a coarse mosaic. The tiles are sized by the whole box,
// also where only a part of it, a face say, is in the picture.
func obscure(picture *gocv.Mat, box image.Rectangle) {
	if box.Empty() {
		return
	}
	grow := image.Pt(int(float64(box.Dx())*mosaicEdge)+1, int(float64(box.Dy())*mosaicEdge)+1)
	box.Min, box.Max = box.Min.Sub(grow), box.Max.Add(grow)
	tile := max(4, max(box.Dx(), box.Dy())/mosaicCells)
	shown := box.Intersect(image.Rect(0, 0, picture.Cols(), picture.Rows()))
	if shown.Empty() {
		return
	}
	part := picture.Region(shown)
	defer part.Close()
	small, coarse := gocv.NewMat(), gocv.NewMat()
	defer small.Close()
	defer coarse.Close()
	cells := image.Pt(max(1, shown.Dx()/tile), max(1, shown.Dy()/tile))
	gocv.Resize(part, &small, cells, 0, 0, gocv.InterpolationArea)
	gocv.Resize(small, &coarse, shown.Size(), 0, 0, gocv.InterpolationNearestNeighbor)
	coarse.CopyTo(&part)
}
