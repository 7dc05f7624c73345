package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Optimize makes a smaller network of the model in the background, out of pictures of
// the streams themselves, and takes it once it has proved to see the same. A model
// that was optimized already is only watched. A file at pace fastest takes the network
// while it runs too, when it is there: the run in which it is made is not repeatable.
type Optimize struct {
	// Mode: exact changes nothing but rounding; general computes in 8-bit integers, one network for all streams that say the same; scene makes a specialist for each stream's view, nearly blind elsewhere. On a GPU exact alone.
	Mode string `yaml:"mode" jsonschema:"enum=exact,enum=general,enum=scene,default=general"`
	// Agreement is the least recall and precision against the original, on pictures that were held back and later while it works.
	Agreement float64 `yaml:"agreement" jsonschema:"minimum=0.5,maximum=1,default=0.97"`
	// Shadow lets the original look at one inference in so many too, as long as the processor has time; 0 never, which scene does not allow.
	Shadow int `yaml:"shadow" jsonschema:"minimum=0,maximum=10000,default=50"`
	// Pictures to learn from and to compare on.
	Pictures int `yaml:"pictures" jsonschema:"minimum=8,maximum=2000,default=160"`
	// For is the time that the pictures of a stream are spread over: its light and traffic should be as they are.
	For time.Duration `yaml:"for" jsonschema:"default=10m"`
	// Cache is the folder where networks are kept; when absent sightline in the user's own folder for such.
	Cache string `yaml:"cache" path:"yes"`
}

// optimize refuses what contradicts itself.
func (c *checker) optimize(o *Optimize, path string) {
	if o == nil || c.failed(path) {
		return
	}
	if o.Mode == "scene" && o.Shadow == 0 {
		c.bad(path+".shadow", "a network for one scene must be watched: want 1 or more")
	}
	d, on := &c.p.Detect, ""
	switch {
	case d.Engine == "tensorrt":
		on = "detect.engine is tensorrt"
	case strings.HasPrefix(d.Device, "cuda:"):
		on = "detect.device is " + d.Device
	}
	if o.Mode != "exact" && on != "" {
		c.bad(path+".mode", "%s is proved on the processor alone, and %s: want exact, or leave optimize out", o.Mode, on)
	}
}

// Bind is the digest of what decides, as far as the configuration tells, what the
// camera of a stream shows: the kind of source, the address that is analyzed without
// names and secrets (for files the path), and the size where the address says it. A
// network made for one scene is bound to it. Titles, zones, rules and passwords may
// change, and so may the stream's name, unless publishers find the stream by it.
func (s *Stream) Bind() string {
	a := s.Analyzed()[0]
	address := a.SafeURL()
	switch a.Kind {
	case WHIP:
		address += s.Name
	case File, Images:
		address = a.Path
		if abs, err := filepath.Abs(a.Path); err == nil {
			address = abs
		}
	}
	width, height, _ := a.Size()
	sum := sha256.Sum256([]byte(strings.Join([]string{"1", string(a.Kind), address, fmt.Sprintf("%dx%d", width, height)}, "\n")))
	return hex.EncodeToString(sum[:])
}
