package webrtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	pion "github.com/pion/webrtc/v3"
)

// newPeer makes a peer connection that receives the given video on the configured
// addresses, asks for lost packets again and reports on reception.
func newPeer(config Config, video, sound []pion.RTPCodecParameters) (*pion.PeerConnection, error) {
	media := &pion.MediaEngine{}
	for _, codec := range video {
		if err := media.RegisterCodec(codec, pion.RTPCodecTypeVideo); err != nil {
			return nil, err
		}
	}
	for _, codec := range sound {
		if err := media.RegisterCodec(codec, pion.RTPCodecTypeAudio); err != nil {
			return nil, err
		}
	}
	interceptors := &interceptor.Registry{}
	if err := pion.RegisterDefaultInterceptors(media, interceptors); err != nil {
		return nil, err
	}
	settings := pion.SettingEngine{
		// What matters ends in Run's error; the library's own log is about packets.
		LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled},
	}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetIPFilter(func(ip net.IP) bool {
		addr, ok := netip.AddrFromSlice(ip)
		return ok && config.admits(addr)
	})
	settings.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4, pion.NetworkTypeUDP6})
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetICETimeouts(config.Timeout/2, config.Timeout, 2*time.Second)
	if config.PortMin != 0 {
		if err := settings.SetEphemeralUDPPortRange(config.PortMin, config.PortMax); err != nil {
			return nil, err
		}
	}
	api := pion.NewAPI(pion.WithMediaEngine(media), pion.WithInterceptorRegistry(interceptors), pion.WithSettingEngine(settings))
	return api.NewPeerConnection(pion.Configuration{})
}

// negotiate answers an offer and waits until all own candidates are known.
func negotiate(ctx context.Context, peer *pion.PeerConnection, offer string, patience time.Duration) (string, error) {
	err := peer.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeOffer, SDP: offer})
	if err != nil {
		return "", fmt.Errorf("%w: %w", errBadAnswer, err)
	}
	for _, t := range peer.GetTransceivers() {
		if t.Kind() != pion.RTPCodecTypeVideo {
			t.Stop() // answered as inactive: no sound is sent
		}
	}
	answer, err := peer.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errBadAnswer, err)
	}
	gathered := pion.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(answer); err != nil {
		return "", fmt.Errorf("%w: %w", errBadAnswer, err)
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-gathered:
		return peer.LocalDescription().SDP, nil
	case <-timeout.C:
		return "", fmt.Errorf("%w: %w", errOwn, errors.New("the local addresses take too long to find"))
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
