package optimize

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
)

//go:embed page.html
var pageText string

// Page writes the report as one HTML page that needs nothing else.
func (r *Report) Page(w io.Writer) error {
	page, err := template.New("report").Funcs(template.FuncMap{
		"ms": func(e EngineReport) [2]string {
			return [2]string{ms(int64(e.Race.Original)), ms(int64(e.Race.Optimized))}
		},
		"percent": percent,
		"million": func(n int64) string { return fmt.Sprintf("%.1f M", float64(n)/1e6) },
		"kb":      func(n int) string { return fmt.Sprintf("%d kB", n/1000) },
		"share":   func(l LayerChange) float64 { return 100 * float64(l.MACs[1]) / float64(max(1, r.heaviest())) },
		"was":     func(l LayerChange) float64 { return 100 * float64(l.MACs[0]) / float64(max(1, r.heaviest())) },
	}).Parse(pageText)
	if err != nil {
		return err
	}
	return page.Execute(w, r)
}

func ms(ns int64) string { return fmt.Sprintf("%.2f", float64(ns)/1e6) }

func percent(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) }

// heaviest is the most multiply-adds of one layer, before or after.
func (r *Report) heaviest() (most int64) {
	for _, l := range r.Layers {
		most = max(most, l.MACs[0], l.MACs[1])
	}
	return most
}
