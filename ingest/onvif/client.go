// Package onvif asks an ONVIF camera what it offers: its profiles, and the
// addresses of its streams and stills. It only reads.
package onvif

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sightline/ingest"
	"sightline/ingest/httpauth"
)

// Config says which camera to ask, and how.
type Config struct {
	// Address is HOST, HOST:PORT or http(s)://HOST[:PORT][/PATH], whose path is
	// /onvif/device_service where none is given. It may hold user and password.
	Address  string
	Username string // takes the place of the address's
	Password string
	Timeout  time.Duration // of each question
	Insecure bool          // take any certificate
}

// Defaults is a configuration that lacks only the address.
func Defaults() Config { return Config{Timeout: 5 * time.Second} }

// devicePath is where cameras answer (ONVIF Core Specification, 5.1.1).
const devicePath = "/onvif/device_service"

// maxAnswer bounds an answer.
const maxAnswer = 1 << 20

// ErrNotONVIF is for what answers, but not as an ONVIF device does.
var ErrNotONVIF = errors.New("does not answer as an ONVIF camera")

// Client asks one camera. It is used by one goroutine at a time.
type Client struct {
	config Config
	device *url.URL
	client *http.Client
	ahead  time.Duration // by which the camera's clock is
	synced bool          // that was asked for
}

// New makes a client. It opens nothing. The caller closes it.
func New(c Config) (*Client, error) {
	address := c.Address
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	device, err := url.Parse(address)
	if err != nil || device.Hostname() == "" || device.Scheme != "http" && device.Scheme != "https" {
		return nil, errors.New("want HOST, HOST:PORT or http(s)://HOST") // the address may hold a password
	}
	if device.User != nil && c.Username == "" {
		c.Username = device.User.Username()
		c.Password, _ = device.User.Password()
	}
	device.User, device.Fragment = nil, ""
	if device.Path == "" || device.Path == "/" {
		device.Path = devicePath
	}
	transport := &http.Transport{
		DialContext: (&net.Dialer{Timeout: c.Timeout}).DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: c.Insecure},
		MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
	}
	return &Client{config: c, device: device, client: &http.Client{
		Transport:     &httpauth.Transport{Base: transport, Username: c.Username, Password: c.Password, Origin: device},
		CheckRedirect: httpauth.CheckRedirect(device), Timeout: c.Timeout,
	}}, nil
}

// Address is the camera's, without credentials.
func (c *Client) Address() string { return c.device.Scheme + "://" + c.device.Host }

// Login is the name in use, "" for none, and whether there is a password.
func (c *Client) Login() (username string, password bool) {
	return c.config.Username, c.config.Password != ""
}

// Close ends the connections.
func (c *Client) Close() { c.client.CloseIdleConnections() }

// call asks a service and reads its answer's body into answer. Every error but
// ctx's is an *ingest.Error.
func (c *Client) call(ctx context.Context, service *url.URL, question string, answer any) error {
	text, err := c.envelope(question)
	if err != nil {
		return c.fail(ingest.ReasonFailed, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, service.String(), bytes.NewReader(text))
	if err != nil {
		return c.fail(ingest.ReasonFailed, err)
	}
	request.Header.Set("Content-Type", "application/soap+xml; charset=utf-8")
	request.Header.Set("User-Agent", "sightline")
	response, err := c.client.Do(request)
	if err != nil {
		return c.failure(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return c.failure(ctx, err)
	case len(body) > maxAnswer:
		return c.fail(ingest.ReasonFailed, fmt.Errorf("%w: an answer of more than %d MiB", ErrNotONVIF, maxAnswer>>20))
	}
	fault, err := readEnvelope(body, answer)
	switch {
	case fault != nil && fault.reason() == ingest.ReasonUnauthorized:
		return c.fail(ingest.ReasonUnauthorized, fmt.Errorf("%w (%w)", c.loginHint(), fault))
	case fault != nil:
		return c.fail(fault.reason(), fault)
	case response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden:
		return c.fail(ingest.ReasonUnauthorized, c.loginHint())
	case response.StatusCode != http.StatusOK:
		return c.fail(ingest.ReasonNotFound, fmt.Errorf("%w: status %d %s", ErrNotONVIF, response.StatusCode, http.StatusText(response.StatusCode)))
	case err != nil:
		return c.fail(ingest.ReasonFailed, fmt.Errorf("%w: %w", ErrNotONVIF, err))
	}
	return nil
}

func (c *Client) loginHint() error {
	if c.config.Username == "" {
		return errors.New("it asks for username and password")
	}
	return errors.New("wrong username or password; many cameras have ONVIF users of their own")
}

// failure explains an error of the network.
func (c *Client) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	reason := ingest.NetworkReason(err)
	if reason == ingest.ReasonTimeout {
		err = fmt.Errorf("no answer within %v", c.config.Timeout)
	}
	return c.fail(reason, err)
}

func (c *Client) fail(reason ingest.Reason, err error) error {
	return &ingest.Error{Reason: reason, Err: fmt.Errorf("%s: %w", c.Address(), err)}
}

// reach makes an address that the camera names reachable: cameras behind a
// router name a host of their own network, so the one that answered takes its
// place, with its port where the address speaks HTTP too. Credentials are dropped.
func (c *Client) reach(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return nil, c.fail(ingest.ReasonFailed, fmt.Errorf("%w: it names no address where one is due", ErrNotONVIF))
	}
	u.User = nil
	switch {
	case u.Hostname() == c.device.Hostname():
	case u.Scheme == c.device.Scheme:
		u.Host = c.device.Host
	default:
		port := u.Port()
		u.Host = strings.TrimSuffix(c.device.Host, ":"+c.device.Port())
		if port != "" {
			u.Host = net.JoinHostPort(c.device.Hostname(), port)
		}
	}
	return u, nil
}

// service makes the address of a service reachable. A camera that was asked over
// TLS is asked over nothing else, though many name their services by http alone:
// the login would be seen on the way.
func (c *Client) service(address string) (*url.URL, error) {
	u, err := c.reach(strings.TrimSpace(address))
	if err == nil && c.device.Scheme == "https" && u.Scheme != "https" {
		u.Scheme, u.Host = c.device.Scheme, c.device.Host
	}
	return u, err
}
