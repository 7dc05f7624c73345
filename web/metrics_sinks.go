package web

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"sightline/detect"
	"sightline/pipelines"
)

// sinkMetrics describes the metrics of sinks.
type sinkMetrics struct {
	made, filtered, acknowledged, spooled, dropped, deadLettered, expired, recovered *prometheus.Desc

	up, degraded, events, bytes, oldest, held, lastAck *prometheus.Desc
	disk, unsynced, spoolUp                            *prometheus.Desc
}

func newSinkMetrics(desc func(name, help string, labels ...string) *prometheus.Desc) sinkMetrics {
	return sinkMetrics{
		made:         desc("sink_made_total", "Events offered to the sink, and those that an earlier run left in its spool.", "stream", "sink"),
		filtered:     desc("sink_filtered_total", "Events of types the sink does not take.", "stream", "sink"),
		acknowledged: desc("sink_acknowledged_total", "Events the destination has accepted.", "stream", "sink"),
		spooled:      desc("sink_waiting", "Events waiting for the destination.", "stream", "sink"),
		dropped:      desc("sink_dropped_total", "Events given up.", "stream", "sink", "reason"),
		deadLettered: desc("sink_dead_lettered_total", "Events the destination will never take.", "stream", "sink"),
		expired:      desc("sink_expired_total", "Events that grew too old.", "stream", "sink"),
		recovered:    desc("sink_recovered_total", "Events that an earlier run left in the spool.", "stream", "sink"),

		up:       desc("sink_up", "1 while the destination accepts events.", "sink"),
		degraded: desc("sink_degraded", "1 while something is wrong: unreachable, spool_failed, spool_full, queue_full.", "sink", "reason"),
		events:   desc("sink_waiting_events", "Events waiting for the destination, of all streams.", "sink"),
		bytes:    desc("sink_waiting_bytes", "Size of the events waiting for the destination.", "sink"),
		oldest:   desc("sink_oldest_seconds", "Age of the oldest event waiting for the destination; 0 when none does.", "sink"),
		held:     desc("sink_held_keys", "Keys held back because their oldest event failed while others got through.", "sink"),
		lastAck:  desc("sink_last_ack_seconds", "From offer to acceptance, of the oldest event of the last batch.", "sink"),
		disk:     desc("sink_spool_disk_bytes", "Size of the spool's files.", "sink"),
		unsynced: desc("sink_spool_unsynced_events", "Events that are in memory alone, not on disk yet.", "sink"),
		spoolUp:  desc("sink_spool_up", "1 while the spool's disk keeps what comes.", "sink"),
	}
}

func (m *sinkMetrics) collect(send sender, s pipelines.SinkStatus) {
	send.gauge(m.up, flag(!slices.Contains(s.Troubles, "unreachable")), s.Name)
	for _, reason := range s.Troubles {
		send.gauge(m.degraded, 1, s.Name, reason)
	}
	send.gauge(m.events, float64(s.Events), s.Name)
	send.gauge(m.bytes, float64(s.Bytes), s.Name)
	send.gauge(m.oldest, s.OldestS, s.Name)
	send.gauge(m.held, float64(s.HeldKeys), s.Name)
	send.gauge(m.lastAck, s.LastAckS, s.Name)
	if sp := s.Spool; sp != nil {
		send.gauge(m.disk, float64(sp.Disk), s.Name)
		send.gauge(m.unsynced, float64(sp.Unsynced), s.Name)
		send.gauge(m.spoolUp, flag(sp.OK), s.Name)
	}
	for stream, l := range s.Others {
		m.ledger(send, stream, s.Name, l)
	}
}

// ledger is the account of one stream's events at one sink.
func (m *sinkMetrics) ledger(send sender, stream, sink string, l detect.SinkLedger) {
	send.counter(m.made, l.Made, stream, sink)
	send.counter(m.filtered, l.Filtered, stream, sink)
	send.counter(m.acknowledged, l.Acknowledged, stream, sink)
	send.counter(m.deadLettered, l.DeadLettered, stream, sink)
	send.counter(m.expired, l.Expired, stream, sink)
	send.counter(m.recovered, l.Recovered, stream, sink)
	send.gauge(m.spooled, float64(l.Spooled), stream, sink)
	for reason, n := range l.Dropped {
		send.counter(m.dropped, n, stream, sink, reason)
	}
}
