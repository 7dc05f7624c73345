package web

import (
	"errors"
	"io/fs"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// snapshots tells how the pictures of events fare; 404 where none are kept.
func (s *Server) snapshots(w http.ResponseWriter, _ *http.Request) {
	st := s.pipeline.Snapshots()
	if st == nil {
		http.Error(w, "no snapshots are kept (the file has no `snapshots:`)", http.StatusNotFound)
		return
	}
	answer(w, st)
}

// snapshot serves the picture of an event. What is kept under a name never
// changes, so browsers may keep it, for the one who asked alone.
func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("date") + "/" + r.PathValue("stream") + "/" + r.PathValue("file")
	f, err := s.pipeline.Snapshot(name)
	if errors.Is(err, fs.ErrNotExist) {
		http.Error(w, "no such picture, or not anymore", http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, "the picture cannot be read", http.StatusInternalServerError)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.Error(w, "no such picture, or not anymore", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Cache-Control", "private, max-age=86400, immutable")
	http.ServeContent(w, r, "", info.ModTime(), f)
}

// snapshotCollector turns what became of pictures into metrics.
type snapshotCollector struct {
	pipeline Pipeline
	site     string

	kept, givenUp, removed, unsent  *prometheus.Desc
	bytes, ok                       *prometheus.Desc
	copied, failures, waiting, s3OK *prometheus.Desc
}

func newSnapshotCollector(p Pipeline) *snapshotCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sightline_snapshot"+name, help, append([]string{"site"}, labels...), nil)
	}
	return &snapshotCollector{
		pipeline: p, site: p.Spec().Site,
		kept:     desc("s_total", "Pictures of events on disk and named by their events.", "stream"),
		givenUp:  desc("s_given_up_total", "Pictures that events went out without.", "stream", "reason"),
		removed:  desc("s_removed_total", "Pictures removed from the folder for their age or its size.", "reason"),
		unsent:   desc("s_unsent_total", "Of those removed: never copied to the bucket."),
		bytes:    desc("_bytes", "Size of the folder of pictures."),
		ok:       desc("_up", "1 while the folder takes pictures."),
		copied:   desc("s_copied_total", "Pictures the bucket has taken."),
		failures: desc("_copy_failures_total", "Attempts to copy a picture that failed."),
		waiting:  desc("s_waiting", "Pictures on disk that the bucket lacks."),
		s3OK:     desc("_copy_up", "1 while the bucket takes pictures."),
	}
}

func (c *snapshotCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c *snapshotCollector) Collect(ch chan<- prometheus.Metric) {
	st := c.pipeline.Snapshots()
	if st == nil {
		return
	}
	send := sender(func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, append([]string{c.site}, labels...)...)
	})
	for stream, n := range st.Streams {
		send.counter(c.kept, n.Kept, stream)
		for reason, lost := range n.GivenUp {
			send.counter(c.givenUp, lost, stream, reason)
		}
	}
	send.counter(c.removed, st.Expired, "age")
	send.counter(c.removed, st.Outgrown, "size")
	send.counter(c.unsent, st.Unsent)
	send.gauge(c.bytes, float64(st.Bytes))
	send.gauge(c.ok, flag(st.Error == ""))
	if b := st.Bucket; b != nil {
		send.counter(c.copied, b.Copied)
		send.counter(c.failures, b.Failures)
		send.gauge(c.waiting, float64(b.Waiting))
		send.gauge(c.s3OK, flag(b.Error == ""))
	}
}
