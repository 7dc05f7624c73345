// Package camera is an RTSP camera inside the process: it serves live streams
// that ingest.Sources feed. The demo and the tests read it back over the network
// like any other camera.
package camera

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/auth"

	"sightline/ingest"
)

// Config says what is served, and to whom.
type Config struct {
	Listen string // address of the RTSP port; default 127.0.0.1:0, any free one
	// Streams are what is served under each name. A source that ends is run again,
	// with time stamps that go on. It must keep its own pace. One that is an
	// ingest.KeyframeRequester is asked for keyframes when viewers ask for them.
	Streams map[string]ingest.Source

	Username, Password string // asked for where Username is set
	Digest             bool   // ask by Digest only, not by Basic

	// Certificate, where set, makes the port speak TLS alone: rtsps://. Media comes
	// through the same connection, or encrypted by SRTP over UDP.
	Certificate *tls.Certificate

	Log *slog.Logger // default: none
}

// writeQueue is how many RTP packets wait for a slow viewer before it loses some:
// the keyframe of a large picture must fit.
const writeQueue = 1024

// Server is a running camera. Its methods may be called from any goroutine.
type Server struct {
	config Config
	log    *slog.Logger
	rtsp   *gortsplib.Server
	addr   net.Addr
	feeds  map[string]*feed

	cancel context.CancelFunc
	done   chan struct{}
}

// Serve starts a camera that runs until ctx ends or Close is called.
func Serve(ctx context.Context, config Config) (*Server, error) {
	s := &Server{config: config, log: config.Log, feeds: map[string]*feed{}, done: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.listen(cmp.Or(config.Listen, "127.0.0.1:0")); err != nil {
		return nil, fmt.Errorf("start the camera: %w", err)
	}
	for name, source := range config.Streams {
		s.feeds[name] = newFeed(name, source, s.rtsp, s.log)
	}
	ctx, s.cancel = context.WithCancel(ctx)
	go s.run(ctx)
	return s, nil
}

// listen opens the RTSP port and a pair of UDP ports on the same host. RTP wants
// an even port and RTCP the next, so pairs are tried until one is free.
func (s *Server) listen(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	methods := []auth.VerifyMethod{auth.VerifyMethodBasic, auth.VerifyMethodDigestMD5}
	if s.config.Digest {
		methods = methods[1:]
	}
	var secure *tls.Config
	if s.config.Certificate != nil {
		secure = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*s.config.Certificate}}
	}
	var failed error
	for range 64 {
		even, err := freeEvenPort(host)
		if err != nil {
			return err
		}
		server := &gortsplib.Server{
			Handler: handler{s}, RTSPAddress: address, AuthMethods: methods, WriteQueueSize: writeQueue, TLSConfig: secure,
			UDPRTPAddress:  net.JoinHostPort(host, strconv.Itoa(even)),
			UDPRTCPAddress: net.JoinHostPort(host, strconv.Itoa(even+1)),
			// The feeds send their own reports: sooner than the library's, which
			// also writes nanoseconds where NTP wants a binary fraction.
			DisableRTCPSenderReports: true,
			Listen: func(network, address string) (net.Listener, error) {
				l, err := net.Listen(network, address)
				if err == nil {
					s.addr = l.Addr()
				}
				return l, err
			},
		}
		if failed = server.Start(); failed == nil {
			s.rtsp = server
			return nil
		}
	}
	return failed
}

// freeEvenPort names a UDP port that was free a moment ago.
func freeEvenPort(host string) (int, error) {
	conn, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).Port &^ 1, nil
}

// run feeds the streams until ctx ends, and then closes everything.
func (s *Server) run(ctx context.Context) {
	defer close(s.done)
	var feeding sync.WaitGroup
	for _, f := range s.feeds {
		feeding.Go(func() { f.run(ctx) })
	}
	<-ctx.Done()
	feeding.Wait()
	s.rtsp.Close()
}

// URL is where the stream with that name is watched, without credentials.
func (s *Server) URL(name string) string {
	scheme := "rtsp"
	if s.config.Certificate != nil {
		scheme = "rtsps"
	}
	return fmt.Sprintf("%s://%s/%s", scheme, s.addr, name)
}

// Close ends the streams, disconnects everybody and waits for it.
func (s *Server) Close() error {
	s.cancel()
	select {
	case <-s.done:
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("the camera's sources do not end")
	}
}
