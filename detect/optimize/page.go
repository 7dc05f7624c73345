package optimize

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
)

//go:embed page.html
var pageText string

// Page writes the report as one HTML page that needs nothing else.
func (r *Report) Page(w io.Writer) error {
	page, err := template.New("report").Funcs(template.FuncMap{
		"ms": func(e EngineReport) [2]string {
			return [2]string{ms(int64(e.Race.Original)), ms(int64(e.Race.Optimized))}
		},
		"name":    filepath.Base, // where files lie is nobody's business who is shown the page
		"percent": percent,
		"million": func(n int64) string { return fmt.Sprintf("%.1f\u00a0M", float64(n)/1e6) },
		"kb":      func(n int) string { return fmt.Sprintf("%d\u00a0kB", n/1000) },
		"share":   func(l LayerChange) float64 { return 100 * float64(l.MACs[1]) / float64(max(1, r.heaviest())) },
		"was":     func(l LayerChange) float64 { return 100 * float64(l.MACs[0]) / float64(max(1, r.heaviest())) },
		"curve":   r.curve,
		"sides":   sides,
		"steps":   r.steps,
		"time":    r.time,
		"unread":  func() bool { return len(r.Engines) > 0 && r.Engines[0].Values != nil },
	}).Parse(pageText)
	if err != nil {
		return err
	}
	return page.Execute(w, r)
}

// time is how long a network takes that is as much faster than the original on the
// first engine as it was in s.
func (r *Report) time(s Stage) string {
	if s.Speedup <= 0 || len(r.Engines) == 0 {
		return "–"
	}
	return ms(int64(float64(r.Engines[0].Race.Original) / s.Speedup))
}

func ms(ns int64) string { return fmt.Sprintf("%.2f", float64(ns)/1e6) }

func percent(v float64) string { return fmt.Sprintf("%.2f\u00a0%%", 100*v) }

// heaviest is the most multiply-adds of one layer, before or after.
func (r *Report) heaviest() (most int64) {
	for _, l := range r.Layers {
		most = max(most, l.MACs[0], l.MACs[1])
	}
	return most
}

// stepRow is a step with what was before it.
type stepRow struct {
	Step
	Before Stage
}

func (r *Report) steps() []stepRow {
	was := Stage{Size: r.Before, Speedup: 1, Agreement: Agreement{Recall: 1, Precision: 1}}
	var rows []stepRow
	for _, s := range r.Steps {
		rows = append(rows, stepRow{s, was})
		if s.After != nil {
			was = *s.After
		}
	}
	return rows
}

// clearly is the score from which boxes that both networks have are drawn: below it
// there are too many to see anything.
const clearly = 0.3

// side is one of the two drawings of a picture.
type side struct {
	Title         string
	Width, Height int
	Picture       template.URL
	Boxes         []drawn
}

// drawn is a box in pixels of the drawing.
type drawn struct {
	X, Y, W, H float64
	Label      string
	Alone      bool
}

func sides(e Example) []side {
	picture := template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(e.jpeg)) // our own bytes
	out := []side{{Title: "original"}, {Title: "optimized"}}
	for i, marks := range [][]Mark{e.Original, e.Made} {
		out[i].Width, out[i].Height, out[i].Picture = e.width, e.height, picture
		w, h := float64(e.width), float64(e.height)
		for _, m := range marks {
			if m.Score < clearly && !m.Alone {
				continue
			}
			label := fmt.Sprintf("%s %.2f", m.Class, m.Score)
			out[i].Boxes = append(out[i].Boxes, drawn{m.Box.X * w, m.Box.Y * h, m.Box.W * w, m.Box.H * h, label, m.Alone})
		}
	}
	return out
}
