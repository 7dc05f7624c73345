package onvif

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// MulticastAddress is where cameras listen for who looks for them (WS-Discovery
// 1.0, 2.4).
const MulticastAddress = "239.255.255.250:3702"

// Found is a camera that answered a look around.
type Found struct {
	Address string // of its device service, as it says
	Name    string // "" unknown
	Model   string
}

const (
	maxDatagram = 64 << 10
	maxFound    = 1000
	// askEvery repeats the question, since datagrams get lost.
	askEvery = 500 * time.Millisecond
)

// Discover asks who is there, on every network of this machine, and collects
// answers until ctx ends. The error is of who could not even ask.
func Discover(ctx context.Context, address string) ([]Found, error) {
	to, err := net.ResolveUDPAddr("udp4", address)
	if err != nil {
		return nil, fmt.Errorf("look for cameras: %w", err)
	}
	sockets, err := sockets()
	if err != nil {
		return nil, fmt.Errorf("look for cameras: %w", err)
	}
	var mu sync.Mutex
	var found []Found
	var asking sync.WaitGroup
	for _, s := range sockets {
		asking.Go(func() {
			defer s.Close()
			ask(ctx, s, to, func(f Found) {
				mu.Lock()
				defer mu.Unlock()
				if len(found) < maxFound && !slices.ContainsFunc(found, func(g Found) bool { return g.Address == f.Address }) {
					found = append(found, f)
				}
			})
		})
	}
	asking.Wait()
	slices.SortFunc(found, func(a, b Found) int { return strings.Compare(a.Address, b.Address) })
	return found, nil
}

// sockets opens one for each network: a multicast leaves through the one that its
// socket's own address belongs to.
func sockets() (list []*net.UDPConn, err error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&(net.FlagMulticast|net.FlagLoopback) == 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, a := range addresses {
			if own, ok := a.(*net.IPNet); ok && own.IP.To4() != nil {
				if s, err := net.ListenUDP("udp4", &net.UDPAddr{IP: own.IP}); err == nil {
					list = append(list, s)
				}
			}
		}
	}
	if len(list) == 0 {
		return nil, errors.New("this machine has no IPv4 network")
	}
	return list, nil
}

// ask sends the question over and over until ctx ends and hands on each answer.
func ask(ctx context.Context, s *net.UDPConn, to *net.UDPAddr, tell func(Found)) {
	question := fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="%s" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" `+
		`xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:n="http://www.onvif.org/ver10/network/wsdl"><s:Header><a:MessageID>uuid:%s</a:MessageID>`+
		`<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To><a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action></s:Header>`+
		`<s:Body><d:Probe><d:Types>n:NetworkVideoTransmitter</d:Types></d:Probe></s:Body></s:Envelope>`, nsSOAP, uuid.New())
	buffer := make([]byte, maxDatagram)
	for ctx.Err() == nil {
		if _, err := s.WriteToUDP(question, to); err != nil {
			return // nothing leads there from this network
		}
		until := time.Now().Add(askEvery)
		if end, ok := ctx.Deadline(); ok && end.Before(until) {
			until = end
		}
		s.SetReadDeadline(until)
		for {
			n, _, err := s.ReadFromUDP(buffer)
			if err != nil {
				break
			}
			for _, f := range matches(buffer[:n]) {
				tell(f)
			}
		}
	}
}

// matches reads one answer.
func matches(text []byte) (list []Found) {
	var answer struct {
		Matches []struct {
			Scopes string `xml:"Scopes"`
			XAddrs string `xml:"XAddrs"`
		} `xml:"Body>ProbeMatches>ProbeMatch"`
	}
	if _, err := readEnvelope(text, &answer); err != nil {
		return nil
	}
	for _, m := range answer.Matches {
		for address := range strings.FieldsSeq(m.XAddrs) {
			u, err := url.Parse(address)
			if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Contains(u.Hostname(), ":") {
				continue // IPv6 link-local addresses need a zone that the camera does not know
			}
			u.User = nil
			list = append(list, Found{Address: u.String(), Name: scope(m.Scopes, "name"), Model: scope(m.Scopes, "hardware")})
			break
		}
	}
	return list
}

// scope takes one of the onvif://www.onvif.org/KIND/VALUE that a camera is in.
func scope(scopes, kind string) string {
	for s := range strings.FieldsSeq(scopes) {
		if value, ok := strings.CutPrefix(s, "onvif://www.onvif.org/"+kind+"/"); ok {
			if text, err := url.PathUnescape(value); err == nil {
				return plain(text)
			}
		}
	}
	return ""
}
