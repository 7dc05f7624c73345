package web

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"sightline/detect"
)

func scraped(t *testing.T, p Pipeline) map[string]float64 {
	t.Helper()
	return gathered(t, newCollector(p))
}

// gathered is what a collector says, held against Prometheus' own rules.
func gathered(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				if l.GetName() != "site" {
					name += "," + l.GetName() + "=" + l.GetValue()
				} else if l.GetValue() != "hq" {
					t.Errorf("%s is of site %q", name, l.GetValue())
				}
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			if s := m.GetSummary(); s != nil {
				out[name+"_count"], out[name+"_sum"] = float64(s.GetSampleCount()), s.GetSampleSum()
			}
		}
	}
	return out
}

func TestMetricsSayWhatTheLedgerSays(t *testing.T) {
	p := withStreams(newFake(t, onLoopback))
	p.counts = map[detect.Type]uint64{detect.LineCrossed: 6}
	p.latency.Add(200 * time.Millisecond)
	p.latency.Add(400 * time.Millisecond)
	got := scraped(t, p)
	for name, want := range map[string]float64{
		"sightline_received_total,stream=gate":                            100,
		"sightline_received_bytes_total,stream=gate":                      12345,
		"sightline_decoded_total,stream=gate":                             80,
		"sightline_undecoded_total,reason=shed,stream=gate":               15,
		"sightline_undecoded_total,reason=damaged,stream=gate":            2,
		"sightline_in_decoder,stream=gate":                                3,
		"sightline_inferred_total,stream=gate":                            50,
		"sightline_skipped_total,reason=sampled,stream=gate":              29,
		"sightline_in_flight,stream=gate":                                 1,
		"sightline_stream_online,stream=gate":                             1,
		"sightline_stream_online,stream=lobby":                            0,
		"sightline_packet_queue,stream=gate":                              2,
		"sightline_packet_queue_bytes,stream=gate":                        4096,
		"sightline_decode_cpu_seconds_total,stream=gate":                  1.5,
		"sightline_decode_memory_bytes,stream=gate":                       5 << 20,
		"sightline_decode_memory_ceiling_bytes,stream=gate":               9 << 20,
		"sightline_decode_info,decoder=h264,device=,stream=gate":          1,
		"sightline_damage_lost_seconds_total,stream=gate":                 2.25,
		"sightline_stream_degraded,reason=damaged,stream=gate":            1,
		"sightline_stream_degraded,reason=moved,stream=gate":              1,
		"sightline_stream_connects_total,stream=gate":                     7,
		"sightline_stream_abandoned_total,stream=gate":                    2,
		"sightline_stream_input,stream=gate":                              1,
		"sightline_rtp_packets_lost_total,stream=gate":                    11,
		"sightline_rtp_faults_total,reason=late,stream=gate":              12,
		"sightline_rtp_faults_total,reason=repeated,stream=gate":          13,
		"sightline_rtp_faults_total,reason=restart,stream=gate":           14,
		"sightline_rtp_faults_total,reason=malformed,stream=gate":         15,
		"sightline_clock_info,source=rtcp_sr,stream=gate":                 1,
		"sightline_clock_offset_seconds,stream=gate":                      -0.02,
		"sightline_clock_uncertainty_seconds,stream=gate":                 0.004,
		"sightline_clock_drift_ratio,stream=gate":                         30.0 / 1e6,
		"sightline_decode_keep_ratio,stream=gate":                         0.5,
		"sightline_sink_made_total,sink=jsonl,stream=gate":                40,
		"sightline_sink_filtered_total,sink=jsonl,stream=gate":            10,
		"sightline_sink_acknowledged_total,sink=jsonl,stream=gate":        20,
		"sightline_sink_waiting,sink=jsonl,stream=gate":                   4,
		"sightline_sink_dead_lettered_total,sink=jsonl,stream=gate":       1,
		"sightline_sink_expired_total,sink=jsonl,stream=gate":             2,
		"sightline_sink_dropped_total,reason=full,sink=jsonl,stream=gate": 3,
		"sightline_sink_up,sink=jsonl":                                    0,
		"sightline_sink_waiting_bytes,sink=jsonl":                         400,
		"sightline_sink_waiting_events,sink=jsonl":                        4,
		"sightline_sink_oldest_seconds,sink=jsonl":                        12.5,
		"sightline_sink_held_keys,sink=jsonl":                             2,
		"sightline_sink_last_ack_seconds,sink=jsonl":                      0.25,
		"sightline_sink_degraded,reason=spool_full,sink=jsonl":            1,
		"sightline_sink_degraded,reason=unreachable,sink=jsonl":           1,
		"sightline_sink_spool_disk_bytes,sink=jsonl":                      8192,
		"sightline_sink_spool_unsynced_events,sink=jsonl":                 3,
		"sightline_sink_spool_up,sink=jsonl":                              0,
		"sightline_sink_recovered_total,sink=jsonl,stream=gone":           9,
		"sightline_events_total,type=line.crossed":                        6,
		"sightline_event_latency_seconds_count":                           2,
		"sightline_event_latency_seconds_sum":                             0.6,
	} {
		if have, ok := got[name]; !ok || have != want {
			t.Errorf("%s is %v (there: %v), want %v", name, have, ok, want)
		}
	}
	conserved(t, got, "gate", "jsonl")
	conserved(t, got, "gone", "jsonl")
}

// conserved holds the sums of the contract against scraped metrics.
func conserved(t *testing.T, got map[string]float64, stream, sink string) {
	t.Helper()
	sum := func(prefix string) (n float64) {
		for name, v := range got {
			if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, ",stream="+stream) {
				n += v
			}
		}
		return n
	}
	if a, b := sum("sightline_received_total"), sum("sightline_decoded_total")+sum("sightline_undecoded_total")+sum("sightline_in_decoder"); a != b {
		t.Errorf("received %v, accounted for %v", a, b)
	}
	if a, b := sum("sightline_decoded_total"), sum("sightline_inferred_total")+sum("sightline_skipped_total")+sum("sightline_in_flight"); a != b {
		t.Errorf("decoded %v, accounted for %v", a, b)
	}
	rest := 0.0
	for _, name := range []string{"filtered_total", "acknowledged_total", "waiting", "dead_lettered_total", "expired_total"} {
		rest += got["sightline_sink_"+name+",sink="+sink+",stream="+stream]
	}
	for name, v := range got {
		if strings.HasPrefix(name, "sightline_sink_dropped_total") && strings.HasSuffix(name, ",sink="+sink+",stream="+stream) {
			rest += v
		}
	}
	if made := got["sightline_sink_made_total,sink="+sink+",stream="+stream]; made != rest {
		t.Errorf("made %v, accounted for %v", made, rest)
	}
}
