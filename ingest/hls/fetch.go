package hls

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"sightline/ingest"
	"sightline/ingest/av"
	"sightline/ingest/httpauth"
)

// What a server may make us hold: three segments at a time.
const (
	maxPlaylist = 8 << 20
	maxSegment  = 64 << 20
	maxHeader   = 1 << 20
	maxFields   = 64 << 10 // of a response
)

// fetcher gets files from the stream's server and those its playlists name.
type fetcher struct {
	client  *http.Client
	timeout time.Duration
	headers map[part][]byte   // the last one
	keys    map[string][]byte // the last one
}

// newFetcher makes a fetcher that gives the user and password of target to its
// server alone. The caller closes it.
func newFetcher(target *url.URL, trust ingest.TLS, timeout time.Duration) (*fetcher, error) {
	encryption, err := trust.Client(target.Hostname())
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext: (&net.Dialer{Timeout: timeout}).DialContext, TLSClientConfig: encryption,
		MaxResponseHeaderBytes: maxFields, MaxIdleConns: 2, IdleConnTimeout: time.Minute,
	}
	auth := &httpauth.Transport{Base: transport, Origin: target}
	if target.User != nil {
		auth.Username = target.User.Username()
		auth.Password, _ = target.User.Password()
	}
	return &fetcher{
		client: &http.Client{Transport: auth, CheckRedirect: httpauth.CheckRedirect(nil)}, timeout: timeout,
		headers: map[part][]byte{}, keys: map[string][]byte{},
	}, nil
}

// Close ends idle connections.
func (f *fetcher) Close() { f.client.CloseIdleConnections() }

// get fetches a file, or the range of one, of at most limit bytes. at is where it
// was found in the end.
func (f *fetcher) get(ctx context.Context, from *url.URL, offset, length, limit int64) (body []byte, at *url.URL, err error) {
	if from.Scheme != "http" && from.Scheme != "https" {
		return nil, nil, av.Fail(ingest.Redacted(from), ingest.ReasonFailed, errors.New("not an address of http or https"))
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	bare := *from
	bare.User = nil // the transport has it; here it would end up in errors
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, bare.String(), nil)
	if err != nil {
		return nil, nil, av.Fail(ingest.Redacted(&bare), ingest.ReasonFailed, errors.New("not an address"))
	}
	request.Header.Set("User-Agent", "sightline")
	if length > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
		limit = min(limit, length)
	}
	response, err := f.client.Do(request)
	if err != nil {
		return nil, nil, f.failure(&bare, err)
	}
	defer response.Body.Close()
	if length > 0 && response.StatusCode == http.StatusOK { // the server knows no ranges
		if _, err := io.CopyN(io.Discard, response.Body, offset); err != nil {
			return nil, nil, f.failure(&bare, err)
		}
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(response.Body, length), response.Body}
	} else if response.StatusCode != http.StatusOK && !(length > 0 && response.StatusCode == http.StatusPartialContent) {
		return nil, nil, refused(&bare, response.StatusCode)
	}
	body, err = io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, nil, f.failure(&bare, err)
	}
	if int64(len(body)) > limit {
		return nil, nil, av.Fail(ingest.Redacted(&bare), ingest.ReasonFailed, fmt.Errorf("is larger than %d bytes", limit))
	}
	return body, response.Request.URL, nil
}

func refused(at *url.URL, status int) error {
	reason := ingest.ReasonFailed
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		reason = ingest.ReasonUnauthorized
	case http.StatusNotFound, http.StatusGone:
		reason = ingest.ReasonNotFound
	}
	return av.Fail(ingest.Redacted(at), reason, fmt.Errorf("the server answers %d %s", status, http.StatusText(status)))
}

// failure drops the address that net/http puts in front of errors: its query may
// hold a secret.
func (f *fetcher) failure(at *url.URL, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v: %w", f.timeout, context.DeadlineExceeded)
	}
	return av.Fail(ingest.Redacted(at), ingest.NetworkReason(err), err)
}

// playlist fetches a playlist.
func (f *fetcher) playlist(ctx context.Context, from *url.URL) (playlist, *url.URL, error) {
	text, at, err := f.get(ctx, from, 0, 0, maxPlaylist)
	if err != nil {
		return playlist{}, nil, err
	}
	list, err := parse(text)
	if err != nil {
		return playlist{}, nil, av.Fail(ingest.Redacted(from), ingest.ReasonFailed, err)
	}
	return list, at, nil
}

// media fetches a segment, decrypted, with its header in front.
func (f *fetcher) media(ctx context.Context, base *url.URL, s segment) ([]byte, error) {
	at, err := base.Parse(s.uri)
	if err != nil {
		return nil, av.Fail(ingest.Redacted(base), ingest.ReasonFailed, errors.New("lists a segment whose address cannot be read"))
	}
	body, _, err := f.get(ctx, at, s.offset, s.length, maxSegment)
	if err != nil {
		return nil, err
	}
	if s.key.method != "" {
		if body, err = f.decrypt(ctx, base, s, body); err != nil {
			return nil, err
		}
	}
	if s.header.uri == "" {
		return body, nil
	}
	header, known := f.headers[s.header]
	if !known {
		at, err := base.Parse(s.header.uri)
		if err != nil {
			return nil, av.Fail(ingest.Redacted(base), ingest.ReasonFailed, errors.New("names a header whose address cannot be read"))
		}
		if header, _, err = f.get(ctx, at, s.header.offset, s.header.length, maxHeader); err != nil {
			return nil, err
		}
		f.headers = map[part][]byte{s.header: header}
	}
	return append(header[:len(header):len(header)], body...), nil
}

// decrypt undoes AES-128 in cipher block chaining (RFC 8216, 4.3.2.4 and 5.2).
func (f *fetcher) decrypt(ctx context.Context, base *url.URL, s segment, body []byte) ([]byte, error) {
	if s.key.method != "AES-128" {
		return nil, av.Fail(ingest.Redacted(base), ingest.ReasonUnsupportedCodec, fmt.Errorf("is encrypted with %q; supported is AES-128", s.key.method))
	}
	at, err := base.Parse(s.key.uri)
	if err != nil {
		return nil, av.Fail(ingest.Redacted(base), ingest.ReasonFailed, errors.New("names a key whose address cannot be read"))
	}
	secret, known := f.keys[at.String()]
	if !known {
		if secret, _, err = f.get(ctx, at, 0, 0, aes.BlockSize); err != nil {
			return nil, err
		}
		f.keys = map[string][]byte{at.String(): secret}
	}
	iv := s.key.iv
	if iv == nil {
		iv = binary.BigEndian.AppendUint64(make([]byte, 8, 16), uint64(s.number))
	}
	block, err := aes.NewCipher(secret)
	if err != nil || len(secret) != aes.BlockSize {
		return nil, av.Fail(ingest.Redacted(at), ingest.ReasonFailed, errors.New("is not a key of 128 bits"))
	}
	if len(body) == 0 || len(body)%aes.BlockSize != 0 {
		return nil, av.Fail(ingest.Redacted(base), ingest.ReasonDamaged, errors.New("lists a segment that is not whole blocks of AES"))
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(body, body)
	padding := int(body[len(body)-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil, av.Fail(ingest.Redacted(base), ingest.ReasonDamaged, errors.New("lists a segment that another key is for"))
	}
	return body[:len(body)-padding], nil
}
