package pipelines

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"

	"sightline/detect"
	"sightline/detect/track"
	"sightline/ingest"
	"sightline/ingest/file"
	"sightline/ingest/hls"
	"sightline/ingest/http"
	"sightline/ingest/images"
	"sightline/ingest/pattern"
	"sightline/ingest/rtmp"
	"sightline/ingest/rtsp"
	"sightline/ingest/srt"
	"sightline/ingest/v4l2"
	"sightline/ingest/webrtc"
	"sightline/pipelines/spec"
	"sightline/sink"
	"sightline/sink/jsonl"
	"sightline/sink/kafka"
	"sightline/sink/mqtt"
	"sightline/sink/webhook"
)

// This file is the one list of kinds: a new kind of source, tracker or sink is
// its sub-folder and a case here.

// newSource makes the source of a stream's own address; who has several asks for
// each (spec.Stream.Analyzed).
func newSource(st *spec.Stream, ports *webrtc.Ports, log *slog.Logger) (ingest.Source, error) {
	switch st.Kind {
	case spec.RTSP:
		c := rtsp.Defaults()
		c.URL, c.Transport = st.URL, rtsp.Transport(st.Transport)
		c.Username, c.Password, c.Timeout, c.TLS = st.Username, st.Password.Reveal(), st.Timeout, trust(st)
		return rtsp.New(c, st.Name, log), c.Validate()
	case spec.WHIP:
		c := webrtc.Defaults()
		c.Token, c.Ports, c.Timeout = st.Token.Reveal(), ports, st.Timeout
		return webrtc.New(c, st.Name, log), c.Validate()
	case spec.WHEP:
		c := webrtc.PullDefaults()
		c.URL, c.Timeout, c.TLS = st.URL, st.Timeout, trust(st)
		c.Token, c.Username, c.Password = st.Token.Reveal(), st.Username, st.Password.Reveal()
		return webrtc.NewPuller(c, st.Name, log), c.Validate()
	case spec.HTTP:
		c := http.Defaults()
		c.URL, c.Every, c.Timeout, c.TLS = st.URL, st.Every, st.Timeout, trust(st)
		c.Username, c.Password = st.Username, st.Password.Reveal()
		return http.New(c, st.Name, log), c.Validate()
	case spec.HLS:
		c := hls.Defaults()
		c.URL, c.Timeout, c.TLS = st.URL, st.Timeout, trust(st)
		c.Username, c.Password = st.Username, st.Password.Reveal()
		return hls.New(c, st.Name, log), c.Validate()
	case spec.RTMP:
		c := rtmp.Defaults()
		c.URL, c.ReadTimeout, c.TLS = st.URL, st.Timeout, trust(st)
		c.Username, c.Password = st.Username, st.Password.Reveal()
		return rtmp.New(c, st.Name, log), c.Validate()
	case spec.SRT:
		c := srt.Defaults()
		c.URL, c.Passphrase, c.ReadTimeout = st.URL, st.Password.Reveal(), st.Timeout
		return srt.New(c, st.Name, log), c.Validate()
	}
	return newLocalSource(st, log)
}

// newLocalSource makes the source of what this machine holds itself.
func newLocalSource(st *spec.Stream, log *slog.Logger) (ingest.Source, error) {
	switch st.Kind {
	case spec.V4L2:
		c := v4l2.Defaults()
		c.Device, c.ReadTimeout = st.Path, st.Timeout
		return v4l2.New(c, st.Name, log), c.Validate()
	case spec.Images:
		c := images.Defaults()
		c.Path, c.Every, c.Loop, c.Start = st.Path, st.Every, st.Loop, st.Start
		c.Pace = images.Pace(st.Pace)
		return images.New(c, st.Name, log)
	case spec.Pattern:
		c := pattern.Defaults()
		width, height, fps := st.Size()
		c.Width, c.Height, c.FPS = cmp.Or(width, c.Width), cmp.Or(height, c.Height), cmp.Or(fps, c.FPS)
		return pattern.New(c, st.Name, log)
	case spec.File:
		c := file.Defaults()
		c.Path, c.Loop, c.Start = st.Path, st.Loop, st.Start
		c.Pace = file.Pace(st.Pace)
		return file.New(c, st.Name, log)
	}
	return nil, fmt.Errorf("%s streams are not in this build", st.Kind)
}

// trust is whom a stream's connections trust.
func trust(st *spec.Stream) ingest.TLS {
	if st.TLS == nil {
		return ingest.TLS{}
	}
	return ingest.TLS(*st.TLS)
}

// openPorts opens where WebRTC's media comes and goes: wherever the page that it
// is asked for through can be reached. Without a page there is none.
func openPorts(page *spec.Web) (*webrtc.Ports, error) {
	if page == nil {
		return nil, nil
	}
	c := webrtc.PortsConfig{
		Listen: mediaAddress(page.Listen), UDPPort: page.Media.UDPPort, TCPPort: page.Media.TCPPort, Addresses: page.Media.Addresses,
	}
	for _, s := range page.Media.ICEServers {
		c.ICEServers = append(c.ICEServers, webrtc.ICEServer{URL: s.URL, Username: s.Username, Password: s.Password.Reveal()})
	}
	ports, err := webrtc.OpenPorts(c)
	if err != nil {
		return nil, fmt.Errorf("web.media.%w", err)
	}
	return ports, nil
}

// Ports are where WebRTC's media comes and goes, nil without a page. They belong to
// the pipeline, which closes them.
func (p *Pipeline) Ports() *webrtc.Ports { return p.ports }

// mediaAddress is the IP address of a listener, "" for all.
func mediaAddress(listen string) string {
	host, _, err := net.SplitHostPort(listen)
	if _, ipErr := netip.ParseAddr(host); err == nil && ipErr == nil {
		return host
	}
	if err != nil || host == "localhost" {
		return "127.0.0.1"
	}
	return ""
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
		return newKafka(sp.Kafka, brokers, log)
	case "jsonl":
		c, err := sp.JSONL.Config(stdout)
		if err != nil {
			return nil, err
		}
		return jsonl.New(c, log)
	case "mqtt":
		c, err := sp.MQTT.Config()
		if err != nil {
			return nil, err
		}
		return mqtt.New(c, log)
	case "webhook":
		c, err := sp.Webhook.Config()
		if err != nil {
			return nil, err
		}
		return webhook.New(c, log)
	}
	return nil, fmt.Errorf("no sink of kind %q", sp.Kind)
}

func newKafka(sp *spec.Kafka, brokers []string, log *slog.Logger) (sink.Sink, error) {
	c := kafka.Defaults()
	c.Brokers, c.Topic, c.Key, c.PartitionBy = brokers, sp.Topic, sp.Key, sp.PartitionBy
	c.Compression, c.Mode, c.Timestamp, c.MaxMessage = sp.Compression, sp.Mode, sp.Timestamp, int(sp.MaxMessage)
	if m := sp.CreateTopic; m != nil {
		c.Create = &kafka.Create{Partitions: m.Partitions, Replication: m.Replication, Config: m.Config}
	}
	if t := sp.TLS; t != nil {
		c.TLS = &kafka.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName}
	}
	if s := sp.SASL; s != nil {
		c.SASL = &kafka.SASL{Mechanism: s.Mechanism, Username: s.Username, Password: s.Password.Current, Token: s.Token.Current}
	}
	var err error
	if c.Format, err = newFormat(sp.Format, sp.Registry); err != nil {
		return nil, err
	}
	return kafka.New(c, log)
}
