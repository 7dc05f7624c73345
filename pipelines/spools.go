package pipelines

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	"sightline/pipelines/spec"
	"sightline/sink/spool"
)

// spoolConfig reads the key and takes the rest over.
func spoolConfig(sp *spec.Spool) (spool.Config, error) {
	c := spool.Config{
		Path: sp.Path, Max: int64(sp.Max), MaxAge: sp.MaxAge, Sync: sp.Sync, WhenFull: spool.Policy(sp.WhenFull), Memory: int64(sp.Memory),
	}
	if c.Sync == 0 && c.WhenFull != spool.Block {
		c.Sync = time.Nanosecond // cameras do not wait for a disk: the commit after each event is the delivery's
	}
	var err error
	c.Key, err = readSpoolKey(sp.KeyFile)
	return c, err
}

// readSpoolKey reads 64 hexadecimal digits; without a file there is no key.
func readSpoolKey(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	const how = "`openssl rand -hex 32` makes one, and without the old one what waits cannot be read"
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the spool's key_file: %w; %s", err, how)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("the spool's key_file %s: want 64 hexadecimal digits; %s", path, how)
	}
	return key, nil
}
