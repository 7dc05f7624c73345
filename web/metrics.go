package web

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics serves what Prometheus scrapes: read from the pipeline when asked.
func (s *Server) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newCollector(s.pipeline))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// collector turns the pipeline's state into metrics.
type collector struct {
	pipeline Pipeline
	site     string

	received, bytes, decoded, undecoded, inferred, skipped *prometheus.Desc
	inDecoder, inFlight                                    *prometheus.Desc
	online, queue, keep, model, events, latency            *prometheus.Desc
	made, filtered, acknowledged, spooled, dropped         *prometheus.Desc
	deadLettered, expired, sinkOK, sinkBytes               *prometheus.Desc
}

func newCollector(p Pipeline) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sightline_"+name, help, append([]string{"site"}, labels...), nil)
	}
	return &collector{
		pipeline: p, site: p.Spec().Site,
		received:     desc("received_total", "Access units received.", "stream"),
		bytes:        desc("received_bytes_total", "Bytes of access units received.", "stream"),
		decoded:      desc("decoded_total", "Pictures decoded.", "stream"),
		undecoded:    desc("undecoded_total", "Access units that were not decoded.", "stream", "reason"),
		inDecoder:    desc("in_decoder", "Access units waiting for or inside the decoder: received = decoded + undecoded + these.", "stream"),
		inferred:     desc("inferred_total", "Pictures inferred.", "stream"),
		skipped:      desc("skipped_total", "Pictures decoded and not inferred.", "stream", "reason"),
		inFlight:     desc("in_flight", "Pictures on their way through inference: decoded = inferred + skipped + these.", "stream"),
		online:       desc("stream_online", "1 while the stream delivers.", "stream"),
		queue:        desc("packet_queue", "Packets waiting for the decoder.", "stream"),
		keep:         desc("decode_keep_ratio", "Share of each group of pictures decoded; below 1 under overload.", "stream"),
		model:        desc("model_info", "1 for the network, engine and precision that really run.", "stream", "model", "digest", "engine", "precision"),
		events:       desc("events_total", "Events made.", "type"),
		latency:      desc("event_latency_seconds", "Capture to acknowledgment of live streams' events."),
		made:         desc("sink_made_total", "Events offered to the sink.", "stream", "sink"),
		filtered:     desc("sink_filtered_total", "Events of types the sink does not take.", "stream", "sink"),
		acknowledged: desc("sink_acknowledged_total", "Events the destination has accepted.", "stream", "sink"),
		spooled:      desc("sink_waiting", "Events waiting for the destination.", "stream", "sink"),
		dropped:      desc("sink_dropped_total", "Events given up.", "stream", "sink", "reason"),
		deadLettered: desc("sink_dead_lettered_total", "Events the destination will never take.", "stream", "sink"),
		expired:      desc("sink_expired_total", "Events that grew too old.", "stream", "sink"),
		sinkOK:       desc("sink_up", "1 while the destination accepts events.", "sink"),
		sinkBytes:    desc("sink_waiting_bytes", "Memory of events waiting for the destination.", "sink"),
	}
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, append([]string{c.site}, labels...)...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		send(d, prometheus.CounterValue, float64(v), labels...)
	}
	for _, s := range c.pipeline.Streams() {
		l := s.Ledger
		counter(c.received, l.Received, s.Name)
		counter(c.bytes, s.Bytes, s.Name)
		counter(c.decoded, l.Decoded, s.Name)
		counter(c.inferred, l.Inferred, s.Name)
		send(c.inDecoder, prometheus.GaugeValue, float64(l.InDecoder), s.Name)
		send(c.inFlight, prometheus.GaugeValue, float64(l.InFlight), s.Name)
		for reason, n := range l.Undecoded {
			counter(c.undecoded, n, s.Name, reason)
		}
		for reason, n := range l.Skipped {
			counter(c.skipped, n, s.Name, reason)
		}
		send(c.online, prometheus.GaugeValue, flag(s.State == "online"), s.Name)
		send(c.queue, prometheus.GaugeValue, float64(s.Queue), s.Name)
		send(c.keep, prometheus.GaugeValue, s.Keep, s.Name)
		send(c.model, prometheus.GaugeValue, 1, s.Name, s.Model.Name, s.Model.Digest, s.Model.Engine, s.Model.Precision)
		for sink, sl := range l.Sinks {
			counter(c.made, sl.Made, s.Name, sink)
			counter(c.filtered, sl.Filtered, s.Name, sink)
			counter(c.acknowledged, sl.Acknowledged, s.Name, sink)
			counter(c.deadLettered, sl.DeadLettered, s.Name, sink)
			counter(c.expired, sl.Expired, s.Name, sink)
			send(c.spooled, prometheus.GaugeValue, float64(sl.Spooled), s.Name, sink)
			for reason, n := range sl.Dropped {
				counter(c.dropped, n, s.Name, sink, reason)
			}
		}
	}
	for _, s := range c.pipeline.Sinks() {
		send(c.sinkOK, prometheus.GaugeValue, flag(s.State == "ok"), s.Name)
		send(c.sinkBytes, prometheus.GaugeValue, float64(s.Bytes), s.Name)
	}
	for t, n := range c.pipeline.EventCounts() {
		counter(c.events, n, string(t))
	}
	n, total := c.pipeline.Latency().Count()
	quantiles := map[float64]float64{}
	for _, q := range []float64{0.5, 0.95, 0.99} {
		quantiles[q] = c.pipeline.Latency().Quantile(q).Seconds()
	}
	ch <- prometheus.MustNewConstSummary(c.latency, n, total.Seconds(), quantiles, c.site)
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
