package webrtc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pion/interceptor"
	pion "github.com/pion/webrtc/v3"

	"sightline/ingest/rtp"
)

// newPeer makes a peer connection that receives these formats, asks for lost
// packets again, reports on reception and takes capture times from who tells them.
func newPeer(settings pion.SettingEngine, timeout time.Duration, video, sound []pion.RTPCodecParameters) (*pion.PeerConnection, error) {
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
	err := media.RegisterHeaderExtension(pion.RTPHeaderExtensionCapability{URI: rtp.AbsCaptureTime}, pion.RTPCodecTypeVideo, pion.RTPTransceiverDirectionRecvonly)
	if err != nil {
		return nil, err
	}
	interceptors := &interceptor.Registry{}
	if err := pion.RegisterDefaultInterceptors(media, interceptors); err != nil {
		return nil, err
	}
	settings.SetICETimeouts(timeout/2, timeout, 2*time.Second)
	api := pion.NewAPI(pion.WithMediaEngine(media), pion.WithInterceptorRegistry(interceptors), pion.WithSettingEngine(settings))
	return api.NewPeerConnection(pion.Configuration{})
}

// answer answers an offer and waits until all own candidates are known.
func answer(ctx context.Context, peer *pion.PeerConnection, offer string, patience time.Duration) (string, error) {
	err := peer.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeOffer, SDP: offer})
	if err != nil {
		return "", fmt.Errorf("%w: %w", errBadAnswer, err)
	}
	for _, t := range peer.GetTransceivers() {
		if t.Kind() != pion.RTPCodecTypeVideo {
			t.Stop() // answered as inactive: no sound is sent
		}
	}
	local, err := peer.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errBadAnswer, err)
	}
	if err := gather(ctx, peer, local, patience); err != nil {
		return "", err
	}
	return peer.LocalDescription().SDP, nil
}

// gather sets the local description and waits until all own candidates are in it.
func gather(ctx context.Context, peer *pion.PeerConnection, local pion.SessionDescription, patience time.Duration) error {
	gathered := pion.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(local); err != nil {
		return fmt.Errorf("%w: %w", errBadAnswer, err)
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-gathered:
		return nil
	case <-timeout.C:
		return fmt.Errorf("%w: %w", errOwn, errors.New("the local addresses take too long to find"))
	case <-ctx.Done():
		return ctx.Err()
	}
}
