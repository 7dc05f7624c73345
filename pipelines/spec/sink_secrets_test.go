package spec

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOtherSinksReadSecretsAgain changes a file of secrets after the pipeline was
// loaded: what the sinks ask for is what it has now.
func TestOtherSinksReadSecretsAgain(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "pw"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	text := `version: 1
name: x
streams: { a: { url: "rtsp://h/1" } }
sinks:
  - { kind: mqtt, url: "mqtt://h", username: u, password: "${file:pw}" }
  - { kind: webhook, url: "https://h/", secret: "${file:pw}", username: u, password: "${file:pw}", headers: { X-Key: "Bearer ${file:pw}" } }
`
	p, err := Parse(filepath.Join(dir, "x.yaml"), []byte(text), nil, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Sinks[0].MQTT.Config()
	if err != nil {
		t.Fatal(err)
	}
	w, err := p.Sinks[1].Webhook.Config()
	if err != nil {
		t.Fatal(err)
	}
	write("second")
	for name, got := range map[string]string{"mqtt": m.Password(), "secret": w.Secret(), "password": w.Password()} {
		if got != "second" {
			t.Errorf("%s is %q", name, got)
		}
	}
	if got := w.Headers["X-Key"](); got != "Bearer second" {
		t.Errorf("header %q", got)
	}
}
