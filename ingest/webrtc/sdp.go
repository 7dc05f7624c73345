package webrtc

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/pion/ice/v2"
	"github.com/pion/sdp/v3"
)

// MaxSDP is how long a session description from outside may be; browsers' have
// some 10 kB.
const MaxSDP = 128 << 10

// Bounds of a session description from outside. What is spent on one grows with
// the product of these, and each candidate is an address that checks are sent to.
const (
	mostSections   = 32
	mostFormats    = 256
	mostAttributes = 2000
	mostCandidates = 64
)

var (
	errBadOffer = errors.New("the body is not an SDP offer")
	errTooMuch  = errors.New("the session description is out of bounds")
)

// ParseSDP reads a session description from outside that keeps within bounds.
func ParseSDP(text string) (*sdp.SessionDescription, error) {
	if len(text) > MaxSDP {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", errTooMuch, MaxSDP)
	}
	// Counted first: reading costs memory many times the text's.
	sections := strings.Count(text, "\nm=")
	candidates := strings.Count(text, "\na=candidate:")
	attributes := strings.Count(text, "\na=")
	switch {
	case sections > mostSections:
		return nil, fmt.Errorf("%w: it has %d media sections, %d are the most", errTooMuch, sections, mostSections)
	case candidates > mostCandidates:
		return nil, fmt.Errorf("%w: it has %d candidates, %d are the most", errTooMuch, candidates, mostCandidates)
	case attributes > mostAttributes:
		return nil, fmt.Errorf("%w: it has %d attributes, %d are the most", errTooMuch, attributes, mostAttributes)
	}
	var session sdp.SessionDescription
	if err := session.UnmarshalString(text); err != nil {
		return nil, errBadOffer
	}
	formats := 0
	for _, m := range session.MediaDescriptions {
		formats += len(m.MediaName.Formats)
	}
	if formats > mostFormats {
		return nil, fmt.Errorf("%w: it has %d formats, %d are the most", errTooMuch, formats, mostFormats)
	}
	return &session, nil
}

// ufrags are the ICE user names of a description: one, unless it does not bundle.
func ufrags(session *sdp.SessionDescription) map[string]bool {
	names := map[string]bool{}
	if v, ok := session.Attribute("ice-ufrag"); ok {
		names[v] = true
	}
	for _, m := range session.MediaDescriptions {
		if v, ok := m.Attribute("ice-ufrag"); ok {
			names[v] = true
		}
	}
	return names
}

// Announce adds the public addresses to the candidates of an answer of ours: each
// port is said to be reachable there, too.
func (p *Ports) Announce(answer string) string {
	if len(p.announce) == 0 {
		return answer
	}
	const prefix = "a=candidate:"
	var out strings.Builder
	seen := map[string]bool{} // within a section
	for line := range strings.Lines(answer) {
		out.WriteString(line)
		if strings.HasPrefix(line, "m=") {
			clear(seen)
		}
		value, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), prefix)
		if !ok {
			continue
		}
		for i, ip := range p.announce {
			public := candidateAt(value, ip, i)
			if place := fmt.Sprint(ip, public.port); public.text != "" && !seen[place] {
				seen[place] = true
				out.WriteString(prefix + public.text + "\r\n")
			}
		}
	}
	return out.String()
}

// announced is a candidate at a public address.
type announced struct {
	port string // with what else tells it from others at that address
	text string // "" when there is none
}

// candidateAt is one of our candidates as it is at a public address of the same
// family, the nth.
func candidateAt(value string, ip netip.Addr, n int) announced {
	local, err := ice.UnmarshalCandidate(value)
	if err != nil || local.Type() != ice.CandidateTypeHost {
		return announced{}
	}
	if at, err := netip.ParseAddr(local.Address()); err != nil || at.Unmap().Is4() != ip.Is4() || at == ip {
		return announced{}
	}
	public, err := ice.NewCandidateHost(&ice.CandidateHostConfig{
		Network: local.NetworkType().NetworkShort(), Address: ip.String(), Port: local.Port(), Component: local.Component(),
		TCPType: local.TCPType(), Priority: local.Priority(), Foundation: fmt.Sprintf("%s%d", local.Foundation(), n),
	})
	if err != nil {
		return announced{}
	}
	return announced{fmt.Sprint(local.Component(), local.NetworkType().NetworkShort(), local.Port(), local.TCPType()), public.Marshal()}
}
