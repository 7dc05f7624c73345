package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretsDoNotShow prints a pipeline that holds secrets in every way a
// program is tempted to.
func TestSecretsDoNotShow(t *testing.T) {
	p := load(t, `version: 1
name: x
web: { listen: "0.0.0.0:1", auth: { username: u, password: hunter2, token: hunter2 } }
defaults: { password: hunter2 }
streams:
  a: { url: "rtsp://admin:hunter2@h/1?user=admin&password=hunter2&channel=1" }
  b: { url: "whip://", token: hunter2 }
  c: { url: "rtsp://h/user=admin_password=hunter2", username: u }
  d: { url: "srt://h:9000?mode=caller&passphrase=hunter2&latency=80&streamid=read:gate:u:hunter2" }
  e: { url: "https://h/live.m3u8?token=hunter2&jwt=hunter2&usr=u&loginpas=hunter2", username: u, fallback: ["http://u:hunter2@h2/x.mjpg", "srt://h:1?passphrase=hunter2"] }
  f: { urls: { main: "rtsps://u:hunter2@h/1", sub: "rtmp://u:hunter2@h/2" }, fallback: ["whep://:hunter2@h/1"] }
sinks:
  - { kind: kafka, brokers: ["k:9092"], topic: t, sasl: { mechanism: PLAIN, username: u, password: hunter2 } }
  - { kind: mqtt, url: "mqtts://h", username: u, password: hunter2 }
  - { kind: webhook, url: "https://h/x?token=hunter2", secret: hunter2, username: u, password: hunter2, headers: { X-Key: hunter2 } }
`)
	var rendered, log bytes.Buffer
	if err := p.Render(&rendered); err != nil {
		t.Fatal(err)
	}
	secret := p.Web.Auth.Password
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", secret, "auth", *p.Web.Auth)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", secret, "auth", p.Web.Auth)
	asJSON, err := json.Marshal(p.Web)
	if err != nil {
		t.Fatal(err)
	}
	hidden := struct{ s Secret }{secret}
	for name, text := range map[string]string{
		"render": rendered.String(), "slog": log.String(), "json": string(asJSON),
		"%v": fmt.Sprintf("%v %+v %#v", p.Sinks[0].Kafka.SASL, p.Web.Auth, *p.Web.Auth),
		"%s": fmt.Sprintf("%s %q %x %d", []any{secret, secret, secret, secret}...), "unexported": fmt.Sprintf("%v %+v %#v", hidden, hidden, hidden),
		"sinks":     fmt.Sprintf("%v %+v %#v %v %+v %#v", p.Sinks[1].MQTT, p.Sinks[1].MQTT, *p.Sinks[1].MQTT, p.Sinks[2].Webhook.Headers, p.Sinks[2].Webhook.Secret, p.Sinks[2].Webhook.Headers),
		"safe url":  p.Streams[0].SafeURL() + p.Streams[2].SafeURL() + p.Streams[3].SafeURL(),
		"addresses": fmt.Sprintf("%v %+v %#v %v", p.Streams[4].Fallback, p.Streams[5].URLs, *p.Streams[5].URLs, p.Streams[5].Analyzed()),
	} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("%s shows the secret:\n%s", name, text)
		}
	}
	if secret.Reveal() != "hunter2" || p.Streams[0].Password.Reveal() != "hunter2" || !strings.Contains(p.Streams[2].URL, "hunter2") {
		t.Error("the secrets themselves are lost")
	}
	if got := p.Streams[0].SafeURL(); got != "rtsp://h/1?user=admin&password=***&channel=1" {
		t.Errorf("safe url %s", got)
	}
}

// TestCurrentReadsFilesAgain changes what ${file:…} names after the pipeline was
// loaded.
func TestCurrentReadsFilesAgain(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "pw"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	text := "version: 1\nname: x\ndefaults: { password: 'a-${file:pw}-${V}' }\nstreams: { a: { url: 'rtsp://h/1', username: u }, b: { url: 'rtsp://h/1', username: u, password: '${V}' } }\n"
	p, err := Parse(filepath.Join(dir, "x.yaml"), []byte(text), nil, func(string) (string, bool) { return "v", true })
	if err != nil {
		t.Fatal(err)
	}
	file, variable := p.Streams[0].Password, p.Streams[1].Password
	for _, step := range []struct{ write, want string }{
		{"second\n", "a-second-v"}, {strings.Repeat("x", maxSecretFile+1), "a-second-v"}, {"", "a-second-v"}, {"third", "a-third-v"},
	} {
		write(step.write)
		if got := file.Current(); got != step.want {
			t.Errorf("got %.30q, want %q", got, step.want)
		}
	}
	if err := os.Remove(filepath.Join(dir, "pw")); err != nil {
		t.Fatal(err)
	}
	if got := file.Current(); got != "a-third-v" {
		t.Errorf("without the file: %q", got)
	}
	if file.Reveal() != "a-first-v" || variable.Current() != "v" || (Secret{}).Current() != "" {
		t.Errorf("reveal %q, without a file %q, without a secret %q", file.Reveal(), variable.Current(), Secret{}.Current())
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", file, &file, file), fmt.Sprint(struct{ s *Secret }{&file})} {
		if strings.Contains(text, "third") || strings.Contains(text, "first") {
			t.Errorf("the secret shows: %s", text)
		}
	}
}

// TestClean masks what a server repeats of what it was asked.
func TestClean(t *testing.T) {
	p := load(t, "version: 1\nname: x\nstreams: { a: { url: 'http://u:h%2Funter2@h/x', token: null }, b: { url: 'http://h/y?key=hunter2', username: u, password: ab } }\n")
	for text, want := range map[string]string{
		"no GET /x?token=hunter2 HTTP/1.1":      "no GET /x?token=*** HTTP/1.1",
		"who is u:h/unter2?":                    "who is u:***?",
		"http://u:h%2Funter2@h/x: no":           "http://u:***@h/x: no",
		"Authorization: Basic dTpoL3VudGVyMg==": "Authorization: Basic ***",
		`say "password=hunter2" again`:          `say "password=***" again`,
		"plainly refused":                       "plainly refused",
	} {
		if got := p.Streams[0].Clean(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	if got := p.Streams[1].Clean("about y?key=hunter2"); got != "about y?key=***" {
		t.Error(got)
	}
}
