package web

import (
	"github.com/prometheus/client_golang/prometheus"

	"sightline/pipelines"
)

// deviceCollector turns the state of GPUs into metrics.
type deviceCollector struct {
	pipeline Pipeline
	site     string

	ready, losses, streams, total, free, used *prometheus.Desc
}

func newDeviceCollector(p Pipeline) *deviceCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sightline_device_"+name, help, append([]string{"site", "device", "name"}, labels...), nil)
	}
	return &deviceCollector{
		pipeline: p, site: p.Spec().Site,
		ready:   desc("ready", "1 while the GPU works, 0 while it is lost and its streams go on without it."),
		losses:  desc("losses_total", "How often the GPU was lost."),
		streams: desc("streams", "Streams that were given to the GPU."),
		total:   desc("memory_bytes", "Memory of the GPU."),
		free:    desc("memory_free_bytes", "Memory of the GPU that nobody has."),
		used:    desc("memory_used_bytes", "Memory of the GPU that this program has, by what for; surfaces of decoders and networks left out.", "owner"),
	}
}

func (c *deviceCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c *deviceCollector) Collect(ch chan<- prometheus.Metric) {
	for _, d := range c.pipeline.Devices() {
		send := func(desc *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(desc, t, v, append([]string{c.site, d.Device, d.Name}, labels...)...)
		}
		c.device(send, d)
	}
}

func (c *deviceCollector) device(send sender, d pipelines.DeviceStatus) {
	send.gauge(c.ready, flag(d.State == pipelines.DeviceReady))
	send.counter(c.losses, d.Losses)
	send.gauge(c.streams, float64(d.Streams))
	send.gauge(c.total, float64(d.Total))
	send.gauge(c.free, float64(d.Free))
	for owner, n := range d.Used {
		send.gauge(c.used, float64(n), owner)
	}
}
