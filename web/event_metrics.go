package web

import (
	"github.com/prometheus/client_golang/prometheus"

	"sightline/pipelines/tally"
)

// eventCollector turns what events add up to into metrics, for those who look at
// numbers and have no use for the events themselves.
type eventCollector struct {
	pipeline Pipeline
	site     string
	metrics  map[string]eventMetric // by what is counted
}

// eventMetric is one metric and where its labels come from.
type eventMetric struct {
	desc   *prometheus.Desc
	typ    prometheus.ValueType
	labels func(k tally.Key) []string
}

func newEventCollector(p Pipeline) *eventCollector {
	c := &eventCollector{pipeline: p, site: p.Spec().Site, metrics: map[string]eventMetric{}}
	add := func(what, name, help string, typ prometheus.ValueType, values func(k tally.Key) []string, labels ...string) {
		desc := prometheus.NewDesc("sightline_"+name, help, append([]string{"site", "stream"}, labels...), nil)
		c.metrics[what] = eventMetric{desc, typ, values}
	}
	inZone := func(k tally.Key) []string { return []string{k.Place, k.Rule, k.Class} }
	ofClass := func(k tally.Key) []string { return []string{k.Class} }
	add(tally.Crossed, "line_crossed_total", "Crossings of a line, as a rule of it counts them.", prometheus.CounterValue,
		func(k tally.Key) []string { return []string{k.Place, k.Rule, k.Class, k.Direction} }, "line", "rule", "class", "direction")
	add(tally.Occupancy, "zone_occupancy", "Objects in a zone at the last change.", prometheus.GaugeValue,
		func(k tally.Key) []string { return []string{k.Place, k.Rule} }, "zone", "rule")
	add(tally.Entered, "zone_entered_total", "Visits of a zone that began.", prometheus.CounterValue, inZone, "zone", "rule", "class")
	add(tally.Exited, "zone_exited_total", "Visits of a zone that ended.", prometheus.CounterValue, inZone, "zone", "rule", "class")
	add(tally.Visited, "zone_visit_seconds_total", "Time in a zone of the visits that ended.", prometheus.CounterValue, inZone, "zone", "rule", "class")
	add(tally.Dwelt, "zone_dwell_total", "Visits of a zone that lasted as long as a rule asks for.", prometheus.CounterValue, inZone, "zone", "rule", "class")
	add(tally.Started, "objects_total", "Objects that appeared.", prometheus.CounterValue, ofClass, "class")
	add(tally.Ended, "objects_ended_total", "Objects that are gone.", prometheus.CounterValue, ofClass, "class")
	return c
}

func (c *eventCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		ch <- m.desc
	}
}

func (c *eventCollector) Collect(ch chan<- prometheus.Metric) {
	for k, v := range c.pipeline.Tally() {
		m := c.metrics[k.What]
		ch <- prometheus.MustNewConstMetric(m.desc, m.typ, v, append([]string{c.site, k.Stream}, m.labels(k)...)...)
	}
}
