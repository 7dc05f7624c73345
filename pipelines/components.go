package pipelines

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"

	"sightline/detect"
	"sightline/detect/track"
	"sightline/ingest"
	"sightline/ingest/file"
	"sightline/ingest/rtsp"
	"sightline/ingest/webrtc"
	"sightline/pipelines/spec"
	"sightline/sink"
	"sightline/sink/jsonl"
	"sightline/sink/kafka"
)

// This file is the one list of kinds: a new kind of source, tracker or sink is
// its sub-folder and a case here.

// newSource makes the source of a stream's own address; who has several asks for
// each (spec.Stream.Analyzed).
func newSource(st *spec.Stream, page *spec.Web, log *slog.Logger) (ingest.Source, error) {
	switch st.Kind {
	case spec.RTSP:
		c := rtsp.Defaults()
		c.URL, c.Transport = st.URL, rtsp.Transport(st.Transport)
		c.Username, c.Password, c.Timeout, c.TLS = st.Username, st.Password.Reveal(), st.Timeout, rtsp.TLS(trust(st))
		return rtsp.New(c, st.Name, log), c.Validate()
	case spec.WHIP:
		c := webrtc.Defaults()
		c.Token, c.Listen, c.Timeout = st.Token.Reveal(), mediaAddresses(page.Listen), st.Timeout
		return webrtc.New(c, st.Name, log), c.Validate()
	case spec.File:
		c := file.Defaults()
		c.Path, c.Loop, c.Start = st.Path, st.Loop, st.Start
		c.Pace = file.Pace(st.Pace)
		return file.New(c, st.Name, log)
	}
	return nil, fmt.Errorf("%s streams are not in this build", st.Kind)
}

// trusted is whom a connection trusts. Each kind that speaks TLS has a type of its
// own with these fields, which this one converts to: http.TLS(trust(st)).
type trusted = struct {
	CA       string
	Insecure bool
}

func trust(st *spec.Stream) trusted {
	if st.TLS == nil {
		return trusted{}
	}
	return trusted(*st.TLS)
}

// mediaAddresses is where publishers send their media: wherever the page that
// they came through can be reached.
func mediaAddresses(listen string) []string {
	host, _, err := net.SplitHostPort(listen)
	if ip, ipErr := netip.ParseAddr(host); err == nil && ipErr == nil && !ip.IsUnspecified() {
		return []string{host}
	}
	if err != nil || host == "localhost" {
		return webrtc.Defaults().Listen
	}
	return []string{"0.0.0.0", "::"}
}

func newTracker(t spec.Track) (func() detect.Tracker, error) {
	switch t.Kind {
	case "bytetrack":
		c := track.Defaults()
		c.High, c.Low, c.New = t.High, t.Low, t.New
		if err := c.Validate(); err != nil {
			return nil, err
		}
		return func() detect.Tracker {
			t, err := track.New(c)
			if err != nil {
				panic(err) // the config is valid
			}
			return t
		}, nil
	}
	return nil, fmt.Errorf("no tracker of kind %q", t.Kind)
}

func newSink(sp *spec.Sink, brokers []string, stdout io.Writer, log *slog.Logger) (sink.Sink, error) {
	switch sp.Kind {
	case "kafka":
		c := kafka.Defaults()
		c.Brokers, c.Topic = brokers, sp.Kafka.Topic
		c.Compression, c.Mode, c.Timestamp = sp.Kafka.Compression, sp.Kafka.Mode, sp.Kafka.Timestamp
		if t := sp.Kafka.TLS; t != nil {
			c.TLS = &kafka.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName}
		}
		if s := sp.Kafka.SASL; s != nil {
			c.SASL = &kafka.SASL{Mechanism: s.Mechanism, Username: s.Username, Password: s.Password.Reveal()}
		}
		return kafka.New(c, log)
	case "jsonl":
		c := jsonl.Defaults()
		c.Path, c.Stdout = sp.JSONL.Path, stdout
		return jsonl.New(c, log)
	}
	return nil, fmt.Errorf("no sink of kind %q", sp.Kind)
}
