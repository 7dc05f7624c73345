package webrtc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/logging"
	pion "github.com/pion/webrtc/v3"
)

// PortsConfig says where media comes in and goes out. Its errors begin with the
// key that they are about.
type PortsConfig struct {
	// Listen is the local IP address; empty or unspecified (0.0.0.0, ::) stands
	// for every address of this machine, those it gets later included.
	Listen string `yaml:"listen"`
	// UDPPort is one UDP port for all sessions; 0 gives each a port of its own.
	UDPPort int `yaml:"udp_port"`
	// TCPPort is one TCP port for peers whose networks let no UDP through (ICE-TCP,
	// RFC 6544); 0 is none.
	TCPPort int `yaml:"tcp_port"`
	// Addresses are public IP addresses under which the ports can be reached, too;
	// they are announced beside the local ones.
	Addresses []string `yaml:"addresses"`
	// ICEServers are named to publishers, who may need them to get through to us.
	ICEServers []ICEServer `yaml:"ice_servers"`
}

// Validate reports every mistake.
func (c PortsConfig) Validate() error {
	var errs []error
	if _, err := netip.ParseAddr(c.Listen); err != nil && c.Listen != "" {
		errs = append(errs, fmt.Errorf("listen: %q is not an IP address", c.Listen))
	}
	for key, port := range map[string]int{"udp_port": c.UDPPort, "tcp_port": c.TCPPort} {
		if port < 0 || port > 65535 {
			errs = append(errs, fmt.Errorf("%s: %d is no port", key, port))
		}
	}
	for _, text := range c.Addresses {
		if ip, err := netip.ParseAddr(text); err != nil || ip.IsUnspecified() || ip.Zone() != "" {
			errs = append(errs, fmt.Errorf("addresses: %q is not an IP address that others can reach", text))
		}
	}
	for _, s := range c.ICEServers {
		if err := s.check(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Bounds of the TCP port: a peer has one connection, or a few while it tries.
const (
	mostConnections = 512
	firstMessage    = 5 * time.Second // how long a connection may take to say whose it is
	tcpBehind       = 1 << 20         // bytes that may wait for a slow peer before its packets are dropped
	tcpAhead        = 64              // packets that may wait for us
)

// Ports are where media comes in and goes out. All publishers and viewers share
// them. Its methods may be called from several goroutines.
type Ports struct {
	listen   netip.Addr // invalid: every address
	announce []netip.Addr
	servers  []ICEServer
	udp      *udpPort
	tcp      *ice.TCPMuxDefault
}

// OpenPorts begins to listen; without fixed ports it opens nothing. The error of
// a port that is taken begins with its key.
func OpenPorts(c PortsConfig) (*Ports, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := &Ports{servers: c.ICEServers}
	if ip, err := netip.ParseAddr(c.Listen); err == nil && !ip.IsUnspecified() {
		p.listen = ip.Unmap()
	}
	for _, text := range c.Addresses {
		p.announce = append(p.announce, netip.MustParseAddr(text).Unmap())
	}
	if c.UDPPort != 0 {
		p.udp = &udpPort{port: uint16(c.UDPPort), admits: p.admits, local: localAddresses, muxes: map[netip.Addr]*ice.UDPMuxDefault{}}
		if err := p.udp.refresh(); err != nil {
			return nil, errors.Join(fmt.Errorf("udp_port: %w", err), p.Close())
		}
	}
	if c.TCPPort != 0 {
		host := ""
		if p.listen.IsValid() {
			host = p.listen.String()
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(c.TCPPort)))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("tcp_port: %w", err), p.Close())
		}
		p.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
			Listener: newBounded(l, mostConnections), Logger: silent().NewLogger("ice"),
			ReadBufferSize: tcpAhead, WriteBufferSize: tcpBehind,
			FirstStunBindTimeout: firstMessage, AliveDurationForConnFromStun: firstMessage,
		})
	}
	return p, nil
}

// loopback are ports that only this machine reaches.
func loopback() *Ports { return &Ports{listen: netip.AddrFrom4([4]byte{127, 0, 0, 1})} }

// Close ends every session that uses the ports and stops listening.
func (p *Ports) Close() error {
	var errs []error
	if p.udp != nil {
		errs = append(errs, p.udp.Close())
	}
	if p.tcp != nil {
		errs = append(errs, p.tcp.Close())
	}
	return errors.Join(errs...)
}

// Settings are those of a peer connection that uses these ports and no others. It
// dials nobody over TCP and resolves no names: what an offer says is not trusted.
func (p *Ports) Settings() pion.SettingEngine {
	s := pion.SettingEngine{LoggerFactory: silent()}
	s.SetIncludeLoopbackCandidate(true)
	s.SetIPFilter(func(ip net.IP) bool {
		addr, ok := netip.AddrFromSlice(ip)
		return ok && p.admits(addr)
	})
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled) // a browser's own checks tell where it is
	s.DisableActiveTCP(true)
	networks := []pion.NetworkType{pion.NetworkTypeUDP4, pion.NetworkTypeUDP6}
	if p.udp != nil {
		s.SetICEUDPMux(p.udp)
	}
	if p.tcp != nil {
		s.SetICETCPMux(p.tcp)
		networks = append(networks, pion.NetworkTypeTCP4, pion.NetworkTypeTCP6)
	}
	s.SetNetworkTypes(networks)
	return s
}

// admits says whether media may come and go over a local address. Who listens on
// loopback is reached by this machine alone, whatever the family.
func (p *Ports) admits(ip netip.Addr) bool {
	ip = ip.Unmap()
	return !p.listen.IsValid() || p.listen == ip || p.listen.IsLoopback() && ip.IsLoopback()
}

// silent keeps the library's own log, which is about packets, to itself.
func silent() logging.LoggerFactory {
	return &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
}
