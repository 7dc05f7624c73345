// Package webrtc takes streams that browsers and encoders publish to us by WHIP
// (RFC 9725): H.264 and VP8 over WebRTC.
package webrtc

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Config says who may publish, and over which addresses.
type Config struct {
	// Token is what publishers must show as bearer token; empty lets anybody in
	// who reaches the HTTP port.
	Token string `yaml:"token"`
	// Listen are the local IP addresses where media is received over UDP. The
	// unspecified address (0.0.0.0 or ::) stands for all of its family.
	Listen []string `yaml:"listen"`
	// PortMin and PortMax bound the UDP ports; both 0 leave it to the system.
	PortMin uint16 `yaml:"port_min"`
	PortMax uint16 `yaml:"port_max"`
	// Timeout is how long a publisher may stay silent, and how long it may take
	// to connect.
	Timeout time.Duration `yaml:"timeout"`
	// KeyframeTimeout is how long media may come without a keyframe, which is
	// asked for all the while.
	KeyframeTimeout time.Duration `yaml:"keyframe_timeout"`
}

// Defaults receives on the loopback address only, without a token.
func Defaults() Config {
	return Config{Listen: []string{"127.0.0.1"}, Timeout: 10 * time.Second, KeyframeTimeout: 10 * time.Second}
}

// Validate reports every mistake.
func (c Config) Validate() error {
	var errs []error
	if len(c.Listen) == 0 {
		errs = append(errs, errors.New("listen: names no address"))
	}
	for _, text := range c.Listen {
		if _, err := netip.ParseAddr(text); err != nil {
			errs = append(errs, fmt.Errorf("listen: %q is not an IP address", text))
		}
	}
	if c.PortMin > c.PortMax {
		errs = append(errs, fmt.Errorf("port_min: %d is above port_max %d", c.PortMin, c.PortMax))
	}
	if c.PortMin == 0 && c.PortMax != 0 {
		errs = append(errs, errors.New("port_min: is missing beside port_max"))
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout: %v is not positive", c.Timeout))
	}
	if c.KeyframeTimeout <= 0 {
		errs = append(errs, fmt.Errorf("keyframe_timeout: %v is not positive", c.KeyframeTimeout))
	}
	return errors.Join(errs...)
}

// admits says whether media may be received on a local address.
func (c Config) admits(ip netip.Addr) bool {
	ip = ip.Unmap()
	for _, text := range c.Listen {
		listen, err := netip.ParseAddr(text)
		if err != nil {
			continue
		}
		if listen == ip || listen.IsUnspecified() && listen.Is4() == ip.Is4() {
			return true
		}
	}
	return false
}
