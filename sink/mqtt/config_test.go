package mqtt

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"sightline/sink"
	"sightline/sink/sinktest"
)

func TestValidateNamesEveryMistake(t *testing.T) {
	bad := Config{
		URL: "mqtt://h", Topic: "a/+", Version: 4, Mode: "nested", InFlight: 0, MaxPacket: 5, KeepAlive: time.Second,
		Password: func() string { return "" }, TLS: &sink.TLS{Cert: "only.pem"}, ClientID: strings.Repeat("x", 300),
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"topic: + and #", "version: 4", `mode: "nested"`, "password:", "client_id:", "in_flight: 0", "max_packet:", "timeout:", "keep_alive: 1s", "tls: want cert", "tls: the url",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %q in: %v", want, err)
		}
	}
	good := Defaults()
	for _, url := range []string{"mqtt://broker", "mqtts://broker:8884", "mqtt://[::1]:1883", "mqtt://10.0.0.1/"} {
		good.URL = url
		if err := good.Validate(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"", "broker:1883", "tcp://broker:1883", "mqtt://", "mqtt://u:hunter2@h", "mqtt://h:0", "mqtt://h:70000", "mqtt://h/topic", "mqtt://h?x=1", "mqtt://u:hunter2@h:x"} {
		good.URL = url
		err := good.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), "url: ") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestTopicsThatNoBrokerTakes(t *testing.T) {
	for topic, want := range map[string]string{
		"": "missing", "a/#": "subscribers", "$SYS/x": "begin with $", "a\x00b": "control", "{strem}": "did you mean {stream}", "{site": "brace", strings.Repeat("x", 40000): "too long", " ": "blank",
	} {
		if err := checkTopic(topic); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %v, want %q", topic, err, want)
		}
	}
}

// What a value has of a topic's own characters cannot make levels or wildcards.
func TestValuesAreOneLevel(t *testing.T) {
	cfg := Defaults()
	cfg.URL, cfg.Topic = "mqtt://h", "{class}/{site}"
	s, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ev := sinktest.Record("a", 1).Event
	ev.Data.Object.Class = "$a+b/#\x00\u0085ü"
	if got := s.Route(ev).Topic; got != "_a_b____ü/test" {
		t.Errorf("got %q", got)
	}
}
