package webrtc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	pion "github.com/pion/webrtc/v3"

	"sightline/ingest"
)

// PullConfig says where a stream is pulled from, by WHEP.
type PullConfig struct {
	// URL is whep://host[:port]/path over HTTP, or wheps:// over HTTPS.
	URL string `yaml:"url"`
	// Token is shown as bearer token. Without one Username and Password are shown
	// where there are any (Basic). They go to no other host.
	Token    string `yaml:"token"`
	Username string `yaml:"username"`
	Password string `yaml:"password"`
	// TLS says whom to trust.
	TLS ingest.TLS `yaml:"tls"`
	// Timeout is how long each request, and then connecting, may take, and how long
	// the server may stay silent.
	Timeout time.Duration `yaml:"timeout"`
	// KeyframeTimeout is how long media may come without a keyframe, which is
	// asked for all the while.
	KeyframeTimeout time.Duration `yaml:"keyframe_timeout"`
}

// PullDefaults are patient for ten seconds.
func PullDefaults() PullConfig {
	return PullConfig{Timeout: 10 * time.Second, KeyframeTimeout: 10 * time.Second}
}

// Validate reports every mistake.
func (c PullConfig) Validate() error {
	var errs []error
	if _, err := c.endpoint(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, checkTimeouts(c.Timeout, c.KeyframeTimeout)...)...)
}

// endpoint is the URL as HTTP knows it. The error does not show it: it may hold a
// secret.
func (c PullConfig) endpoint() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("url: not a valid address")
	}
	switch u.Scheme {
	case "whep":
		u.Scheme = "http"
	case "wheps":
		u.Scheme = "https"
	default:
		return nil, errors.New("url: want whep:// or wheps://")
	}
	if u.Hostname() == "" {
		return nil, errors.New("url: an address without a host")
	}
	u.User, u.Fragment = nil, ""
	return u, nil
}

var errUnreached = errors.New("no way to the server's media was found: it may be behind a firewall, or announce an address that is not reachable from here")

// Puller is one stream that is pulled from another server. We are the WHEP player:
// we offer to receive every codec we know, all our candidates in the offer, and
// the server answers. A server that answers with an offer of its own is not
// supported, nor is one that wants ICE servers of its own to be used.
type Puller struct {
	config PullConfig
	stream string
	log    *slog.Logger

	runs
	notYet time.Time // the server asked not to be asked before
}

// NewPuller makes the source of the stream with that name. It opens nothing.
func NewPuller(config PullConfig, stream string, log *slog.Logger) *Puller {
	return &Puller{config: config, stream: stream, log: log}
}

// Run implements ingest.Source. It asks the server once and reads what it sends
// until it ends, fails or falls silent; then it takes leave. Each call is one
// epoch: its start in microseconds since 1970.
func (p *Puller) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.config.Validate(); err != nil {
		return &ingest.Error{Reason: ingest.ReasonFailed, Permanent: true, Err: err}
	}
	if !p.begin() {
		return &ingest.Error{Reason: ingest.ReasonFailed, Err: errors.New("the stream already runs")}
	}
	defer p.finish()
	if err := p.patience(ctx); err != nil {
		return err
	}
	client, err := newWHEP(p.config)
	if err != nil {
		return err
	}
	defer client.close()
	epoch := ingest.LiveEpoch()
	session, err := p.connect(ctx, client, epoch)
	if err != nil {
		return p.explain(ctx, client, err)
	}
	p.set(session)
	defer p.set(nil)
	err = session.run(ctx, emit)
	client.leave(ctx)
	p.log.Info("server left", "stream", p.stream, "epoch", epoch, "cause", err,
		"units_dropped", session.dropped(), "units_withheld", session.withheld())
	if err == errNeverCame {
		cause := errUnreached
		if session.connected.Load() {
			cause = errSilent
		}
		return client.failure("read the server", ingest.ReasonTimeout, cause)
	}
	return err
}

// connect offers and takes the answer. After an error nothing is left but perhaps
// a session of the server's, which client knows.
func (p *Puller) connect(ctx context.Context, client *whep, epoch string) (*session, error) {
	settings := (&Ports{}).Settings()
	settings.SetIncludeLoopbackCandidate(client.local())
	settings.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4, pion.NetworkTypeUDP6, pion.NetworkTypeTCP4, pion.NetworkTypeTCP6})
	settings.DisableActiveTCP(false) // the way through where UDP does not pass
	peer, err := newPeer(settings, p.config.Timeout, pulled(), nil)
	if err != nil {
		return nil, err
	}
	c := newSession(peer, setup{
		stream: p.stream, epoch: epoch, from: "server", timeout: p.config.Timeout, keyframeTimeout: p.config.KeyframeTimeout,
	})
	if err := p.negotiate(ctx, client, peer); err != nil {
		peer.GracefulClose()
		return nil, err
	}
	return c, nil
}

func (p *Puller) negotiate(ctx context.Context, client *whep, peer *pion.PeerConnection) error {
	_, err := peer.AddTransceiverFromKind(pion.RTPCodecTypeVideo, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly})
	if err != nil {
		return err
	}
	offer, err := peer.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err := gather(ctx, peer, offer, p.config.Timeout); err != nil {
		return err
	}
	answer, err := client.ask(ctx, peer.LocalDescription().SDP)
	if err != nil {
		return err
	}
	if err := checkAnswer(answer); err != nil {
		return err
	}
	if err := peer.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: answer}); err != nil {
		return fmt.Errorf("the answer cannot be used: %w", err)
	}
	p.log.Info("server answered", "stream", p.stream)
	return nil
}

// explain takes leave of what the server may have begun and says what went wrong.
func (p *Puller) explain(ctx context.Context, client *whep, err error) error {
	client.leave(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var busy retryLater
	if errors.As(err, &busy) {
		p.mu.Lock()
		p.notYet = time.Now().Add(min(busy.after, longestRetry))
		p.mu.Unlock()
	}
	var known *ingest.Error
	if errors.As(err, &known) {
		return err
	}
	return client.failure("ask for the stream", ingest.NetworkReason(err), err)
}

// patience waits until the server may be asked again.
func (p *Puller) patience(ctx context.Context) error {
	p.mu.Lock()
	wait := time.NewTimer(time.Until(p.notYet))
	p.mu.Unlock()
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
