package journal

import "fmt"

// Report is what Inspect sees.
type Report struct {
	Path string
	Stats
	Encrypted bool // at least in part
}

// Inspect looks at a journal without changing or locking anything, also while
// another process writes to it: what that one is about to write may then look like
// damage of the tail. Without a key, what is sealed is checked by its checksum. A folder that
// is not there is fs.ErrNotExist.
func Inspect(cfg Config) (Report, error) {
	if err := cfg.check(); err != nil {
		return Report{}, err
	}
	ids, limits, err := list(cfg)
	if err != nil {
		return Report{}, fmt.Errorf("inspect journal %s: %w", cfg.Path, err)
	}
	l, err := loadAll(cfg, ids, limits, false)
	if err != nil {
		return Report{}, fmt.Errorf("inspect journal %s: %w", cfg.Path, err)
	}
	j := Journal{segments: l.segments, damage: l.damage, next: 1}
	if n := len(l.segments); n > 0 {
		j.next = j.last().end()
	}
	return Report{cfg.Path, j.Stats(), l.encrypted}, nil
}
