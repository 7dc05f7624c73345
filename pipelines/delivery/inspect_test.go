package delivery

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadKey(t *testing.T) {
	folder := t.TempDir()
	good := strings.Repeat("0123456789abcdef", 4)
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"as openssl writes it": {good + "\n", true}, "too short": {good[:62], false}, "no hexadecimal": {"z" + good[1:], false}, "empty": {"", false},
	} {
		path := filepath.Join(folder, "key")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := ReadKey(path)
		if c.ok && (err != nil || hex.EncodeToString(key) != good) || !c.ok && (err == nil || !strings.Contains(err.Error(), "openssl rand -hex 32")) {
			t.Errorf("%s: %x, %v", name, key, err)
		}
		if err != nil && c.text != "" && strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: the key is in the error: %v", name, err)
		}
	}
	if key, err := ReadKey(""); key != nil || err != nil {
		t.Errorf("without a file: %x, %v", key, err)
	}
}
