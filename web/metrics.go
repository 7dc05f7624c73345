package web

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sightline/detect"
	"sightline/pipelines"
)

// metrics serves what Prometheus scrapes: read from the pipeline when asked.
func (s *Server) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newCollector(s.pipeline), newSnapshotCollector(s.pipeline), newEventCollector(s.pipeline), newOptimizeCollector(s.pipeline), newDeviceCollector(s.pipeline))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// collector turns the pipeline's state into metrics.
type collector struct {
	pipeline Pipeline
	site     string

	received, bytes, decoded, undecoded, inferred, skipped *prometheus.Desc
	inDecoder, inFlight                                    *prometheus.Desc
	online, degraded, queue, queueBytes, keep, model       *prometheus.Desc
	decodeCPU, decodeMemory, decodeCeiling, decodeInfo     *prometheus.Desc
	surfaceBytes, refused, retries, lost                   *prometheus.Desc
	connects, abandoned, input, packetsLost, packetFaults  *prometheus.Desc
	clock, clockOffset, clockUncertainty, clockDrift       *prometheus.Desc
	events, latency                                        *prometheus.Desc
	sinks                                                  sinkMetrics
}

func newCollector(p Pipeline) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sightline_"+name, help, append([]string{"site"}, labels...), nil)
	}
	return &collector{
		pipeline: p, site: p.Spec().Site,
		received:      desc("received_total", "Access units received.", "stream"),
		bytes:         desc("received_bytes_total", "Bytes of access units received.", "stream"),
		decoded:       desc("decoded_total", "Pictures decoded.", "stream"),
		undecoded:     desc("undecoded_total", "Access units that were not decoded.", "stream", "reason"),
		inDecoder:     desc("in_decoder", "Access units waiting for or inside the decoder: received = decoded + undecoded + these.", "stream"),
		inferred:      desc("inferred_total", "Pictures inferred.", "stream"),
		skipped:       desc("skipped_total", "Pictures decoded and not inferred.", "stream", "reason"),
		inFlight:      desc("in_flight", "Pictures on their way through inference: decoded = inferred + skipped + these.", "stream"),
		online:        desc("stream_online", "1 while the stream delivers.", "stream"),
		degraded:      desc("stream_degraded", "1 while something is wrong with what the stream delivers: damaged, frozen, black, covered, blurred, moved, disagreement, gpu_lost.", "stream", "reason"),
		queue:         desc("packet_queue", "Packets waiting for the decoder.", "stream"),
		queueBytes:    desc("packet_queue_bytes", "Memory of the packets waiting for the decoder.", "stream"),
		keep:          desc("decode_keep_ratio", "Share of each group of pictures decoded; below 1 under overload.", "stream"),
		decodeCPU:     desc("decode_cpu_seconds_total", "Processor time of decoding, on the decoding thread.", "stream"),
		decodeMemory:  desc("decode_memory_bytes", "Memory of the decoder's pictures, those it keeps for reuse included.", "stream"),
		decodeCeiling: desc("decode_memory_ceiling_bytes", "What that memory can grow to at the size of the last picture.", "stream"),
		surfaceBytes:  desc("decode_surface_bytes", "Memory of a GPU that the decoder decodes into.", "stream"),
		retries:       desc("decode_device_retries_total", "How often a GPU that had no decoder for the stream was tried again.", "stream"),
		refused:       desc("decode_refused_total", "Pictures on a GPU that were not handed out, as too many were on their way (decode.surfaces).", "stream"),
		decodeInfo:    desc("decode_info", "1 for the decoder in use and where it works.", "stream", "decoder", "device"),
		lost:          desc("damage_lost_seconds_total", "Time of the stream that was not analyzed because of damage.", "stream"),
		connects:      desc("stream_connects_total", "How often the stream's source was begun.", "stream"),
		abandoned:     desc("stream_abandoned_total", "Sources that did not end when told to.", "stream"),
		input:         desc("stream_input", "Which address is read: 0 is the stream's own, others count the fallbacks.", "stream"),
		packetsLost:   desc("rtp_packets_lost_total", "Packets of the network that never came, or too late.", "stream"),
		packetFaults:  desc("rtp_faults_total", "Packets that came late, repeated or malformed; times that the sender began to count them anew (restart).", "stream", "reason"),
		clock:         desc("clock_info", "1 for how capture times are known.", "stream", "source"),

		clockOffset:      desc("clock_offset_seconds", "Sender's clock minus this machine's.", "stream"),
		clockUncertainty: desc("clock_uncertainty_seconds", "Half width of the interval that capture times lie in.", "stream"),
		clockDrift:       desc("clock_drift_ratio", "By how much the sender's media clock is faster than this machine's.", "stream"),

		model:   desc("model_info", "1 for the network, engine and precision that really run.", "stream", "model", "digest", "engine", "precision"),
		events:  desc("events_total", "Events made.", "type"),
		latency: desc("event_latency_seconds", "Capture to acknowledgment of live streams' events."),
		sinks:   newSinkMetrics(desc),
	}
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// sender makes one metric of the collector's site.
type sender func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string)

func (send sender) counter(d *prometheus.Desc, v uint64, labels ...string) {
	send(d, prometheus.CounterValue, float64(v), labels...)
}

func (send sender) gauge(d *prometheus.Desc, v float64, labels ...string) {
	send(d, prometheus.GaugeValue, v, labels...)
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	send := sender(func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, append([]string{c.site}, labels...)...)
	})
	for _, s := range c.pipeline.Streams() {
		c.stream(send, s)
		c.ledger(send, s.Name, s.Ledger)
	}
	for _, s := range c.pipeline.Sinks() {
		c.sinks.collect(send, s)
	}
	for t, n := range c.pipeline.EventCounts() {
		send.counter(c.events, n, string(t))
	}
	n, total := c.pipeline.Latency().Count()
	quantiles := map[float64]float64{}
	for _, q := range []float64{0.5, 0.95, 0.99} {
		quantiles[q] = c.pipeline.Latency().Quantile(q).Seconds()
	}
	ch <- prometheus.MustNewConstSummary(c.latency, n, total.Seconds(), quantiles, c.site)
}

func (c *collector) stream(send sender, s pipelines.StreamStatus) {
	send.counter(c.bytes, s.Bytes, s.Name)
	send.gauge(c.online, flag(s.State == "online"), s.Name)
	for _, reason := range s.Degraded {
		send.gauge(c.degraded, 1, s.Name, reason)
	}
	send.gauge(c.queue, float64(s.Queue), s.Name)
	send.gauge(c.queueBytes, float64(s.QueueBytes), s.Name)
	send.gauge(c.keep, s.Keep, s.Name)
	send(c.decodeCPU, prometheus.CounterValue, s.DecodeSeconds, s.Name)
	send.gauge(c.decodeMemory, float64(s.Decoder.Bytes), s.Name)
	send.gauge(c.decodeCeiling, float64(s.Decoder.Ceiling), s.Name)
	if s.Decoder.Name != "" {
		send.gauge(c.decodeInfo, 1, s.Name, s.Decoder.Name, s.Decoder.Device)
	}
	if s.Decoder.Surfaces > 0 || s.Decoder.Refused > 0 {
		send.gauge(c.surfaceBytes, float64(s.Decoder.SurfaceBytes), s.Name)
		send.counter(c.refused, s.Decoder.Refused, s.Name)
	}
	if s.Decoder.Retries > 0 {
		send.counter(c.retries, s.Decoder.Retries, s.Name)
	}
	send(c.lost, prometheus.CounterValue, s.LostSeconds, s.Name)
	send.counter(c.connects, s.Input.Connects, s.Name)
	send.counter(c.abandoned, s.Input.Abandoned, s.Name)
	send.gauge(c.input, float64(s.Input.Index), s.Name)
	if l := s.Input.Losses; l != nil {
		send.counter(c.packetsLost, l.Lost, s.Name)
		send.counter(c.packetFaults, l.Late, s.Name, "late")
		send.counter(c.packetFaults, l.Repeated, s.Name, "repeated")
		send.counter(c.packetFaults, l.Malformed, s.Name, "malformed")
		send.counter(c.packetFaults, l.Restarts, s.Name, "restart")
	}
	if k := s.Clock; k != nil {
		send.gauge(c.clock, 1, s.Name, k.Source)
		send.gauge(c.clockOffset, k.OffsetMs/1e3, s.Name)
		send.gauge(c.clockUncertainty, k.UncertaintyMs/1e3, s.Name)
		send.gauge(c.clockDrift, k.DriftPPM/1e6, s.Name)
	}
	send.gauge(c.model, 1, s.Name, s.Model.Name, s.Model.Digest, s.Model.Engine, s.Model.Precision)
}

func (c *collector) ledger(send sender, stream string, l detect.Ledger) {
	send.counter(c.received, l.Received, stream)
	send.counter(c.decoded, l.Decoded, stream)
	send.counter(c.inferred, l.Inferred, stream)
	send.gauge(c.inDecoder, float64(l.InDecoder), stream)
	send.gauge(c.inFlight, float64(l.InFlight), stream)
	for reason, n := range l.Undecoded {
		send.counter(c.undecoded, n, stream, reason)
	}
	for reason, n := range l.Skipped {
		send.counter(c.skipped, n, stream, reason)
	}
	for sink, sl := range l.Sinks {
		c.sinks.ledger(send, stream, sink, sl)
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
