package web

import (
	"github.com/prometheus/client_golang/prometheus"
)

// optimizeCollector tells how optimized networks are doing.
type optimizeCollector struct {
	pipeline Pipeline
	site     string

	works, recall, precision, looks, falls, making, pictures, failures *prometheus.Desc
}

func newOptimizeCollector(p Pipeline) *optimizeCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sightline_"+name, help, append([]string{"site", "stream"}, labels...), nil)
	}
	return &optimizeCollector{
		pipeline: p, site: p.Spec().Site,
		works:     desc("optimized_works", "1 while the optimized network works, 0 while its original does."),
		recall:    desc("shadow_recall_ratio", "Share of the original's boxes that the optimized network found, over the last looks at the same pictures."),
		precision: desc("shadow_precision_ratio", "Share of the optimized network's boxes that the original has, over the last looks at the same pictures."),
		looks:     desc("shadow_looks_total", "Pictures that both networks were to look at.", "outcome"),
		falls:     desc("shadow_falls_total", "Times that the original took over because they did not agree anymore."),
		making:    desc("optimize_state", "1 for how far the network is that is made in the background.", "state"),
		failures:  desc("optimize_failures_total", "Times that a network could not be made; it is tried again a few times."),
		pictures:  desc("optimize_pictures", "Pictures collected to make a network of."),
	}
}

// Describe is prometheus.Collector's.
func (c *optimizeCollector) Describe(ch chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, ch)
}

// Collect is prometheus.Collector's.
func (c *optimizeCollector) Collect(ch chan<- prometheus.Metric) {
	send := sender(func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, append([]string{c.site}, labels...)...)
	})
	for _, s := range c.pipeline.Streams() {
		o := s.Optimized
		if o == nil {
			continue
		}
		send.gauge(c.works, flag(o.Working == "optimized"), s.Name)
		if o.Window > 0 {
			send.gauge(c.recall, o.Recall, s.Name)
			send.gauge(c.precision, o.Precision, s.Name)
		}
		send.counter(c.looks, o.Looks.Done, s.Name, "done")
		send.counter(c.looks, o.Looks.Skipped, s.Name, "skipped")
		send.counter(c.looks, o.Looks.Failed, s.Name, "failed")
		send.counter(c.falls, uint64(o.Falls), s.Name)
		if m := o.Making; m != nil {
			send.gauge(c.making, 1, s.Name, m.State)
			send.counter(c.failures, uint64(m.Failures), s.Name)
			send.gauge(c.pictures, float64(m.Pictures), s.Name)
		}
	}
}
