package webrtc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/pion/ice/v2"
)

// udpBuffer is what is asked of the system for a socket that all streams share;
// it gives less where it is told to.
const udpBuffer = 4 << 20

// udpPort is one UDP port for all sessions, as ice.UDPMux: a socket for each
// local address, so that answers leave from where the question came to. Addresses
// that the machine gets later are served from the next session on.
type udpPort struct {
	port   uint16
	admits func(netip.Addr) bool
	local  func() ([]netip.Addr, error)

	mu     sync.Mutex
	muxes  map[netip.Addr]*ice.UDPMuxDefault
	closed bool
}

// localAddresses are this machine's. Those that name nobody without an interface
// are left out.
func localAddresses() ([]netip.Addr, error) {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, n := range nets {
		prefix, err := netip.ParsePrefix(n.String())
		if ip := prefix.Addr().Unmap(); err == nil && !(ip.Is6() && ip.IsLinkLocalUnicast()) {
			addrs = append(addrs, ip)
		}
	}
	return addrs, nil
}

// refresh opens the port on addresses that came and closes it on those that went.
// The error tells of every address where the port is taken.
func (u *udpPort) refresh() error {
	addrs, err := u.local()
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return net.ErrClosed
	}
	var errs []error
	there := map[netip.Addr]bool{}
	for _, ip := range addrs {
		if !u.admits(ip) {
			continue
		}
		there[ip] = true
		if m := u.muxes[ip]; m != nil && !m.IsClosed() {
			continue
		}
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, u.port)))
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			continue // it is about to come, or has just gone: the next session tries again
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		conn.SetReadBuffer(udpBuffer) // as much as there is
		u.muxes[ip] = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: conn, Logger: silent().NewLogger("ice")})
	}
	for ip, m := range u.muxes {
		if !there[ip] {
			m.Close()
			delete(u.muxes, ip)
		}
	}
	if len(u.muxes) == 0 && len(errs) == 0 {
		return errors.New("this machine has no such address")
	}
	return errors.Join(errs...)
}

// GetListenAddresses implements ice.UDPMux.
func (u *udpPort) GetListenAddresses() []net.Addr {
	u.refresh() // what cannot be had now is left out
	u.mu.Lock()
	defer u.mu.Unlock()
	var addrs []net.Addr
	for _, m := range u.muxes {
		addrs = append(addrs, m.LocalAddr())
	}
	return addrs
}

// GetConn implements ice.UDPMux.
func (u *udpPort) GetConn(ufrag string, addr net.Addr) (net.PacketConn, error) {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return nil, fmt.Errorf("not an address of UDP: %w", err)
	}
	u.mu.Lock()
	m := u.muxes[at.Addr().Unmap()]
	u.mu.Unlock()
	if m == nil {
		return nil, net.ErrClosed
	}
	return m.GetConn(ufrag, addr)
}

// RemoveConnByUfrag implements ice.UDPMux.
func (u *udpPort) RemoveConnByUfrag(ufrag string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, m := range u.muxes {
		m.RemoveConnByUfrag(ufrag)
	}
}

// Close implements ice.UDPMux.
func (u *udpPort) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	var errs []error
	for ip, m := range u.muxes {
		errs = append(errs, m.Close())
		delete(u.muxes, ip)
	}
	return errors.Join(errs...)
}
