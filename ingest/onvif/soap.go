package onvif

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sightline/ingest"
)

// Namespaces of SOAP 1.2, of WS-Security's UsernameToken profile 1.0, and of the
// services asked.
const (
	nsSOAP     = "http://www.w3.org/2003/05/soap-envelope"
	nsSecurity = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	nsUtility  = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
	digestType = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
	base64Type = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
	nsDevice   = "http://www.onvif.org/ver10/device/wsdl"
	nsMedia    = "http://www.onvif.org/ver10/media/wsdl"
	nsMedia2   = "http://www.onvif.org/ver20/media/wsdl"
	nsSchema   = "http://www.onvif.org/ver10/schema"
)

// envelope wraps a question, with the password's digest where there is one and
// the camera's clock is known: the digest names a time, which must be right by it.
func (c *Client) envelope(question string) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="%s">`, nsSOAP)
	if c.config.Username != "" && c.synced {
		nonce := make([]byte, 16)
		rand.Read(nonce) // never fails
		created := time.Now().Add(c.ahead).UTC().Format("2006-01-02T15:04:05.000Z")
		var user bytes.Buffer
		if err := xml.EscapeText(&user, []byte(c.config.Username)); err != nil {
			return nil, fmt.Errorf("username: %w", err)
		}
		fmt.Fprintf(&b, `<s:Header><w:Security xmlns:w="%s" xmlns:u="%s" s:mustUnderstand="true"><w:UsernameToken><w:Username>%s</w:Username>`+
			`<w:Password Type="%s">%s</w:Password><w:Nonce EncodingType="%s">%s</w:Nonce><u:Created>%s</u:Created></w:UsernameToken></w:Security></s:Header>`,
			nsSecurity, nsUtility, user.String(), digestType, passwordDigest(nonce, created, c.config.Password),
			base64Type, base64.StdEncoding.EncodeToString(nonce), created)
	}
	fmt.Fprintf(&b, `<s:Body>%s</s:Body></s:Envelope>`, question)
	return b.Bytes(), nil
}

// passwordDigest is that of the UsernameToken profile, 3.1.
func passwordDigest(nonce []byte, created, password string) string {
	h := sha1.New()
	h.Write(nonce)
	h.Write([]byte(created + password))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// escaped is text as it may stand in a question.
func escaped(text string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(text)); err != nil {
		return "" // a buffer takes everything
	}
	return b.String()
}

// fault is a camera's refusal.
type fault struct {
	codes []string // without prefixes, from general to special
	text  string
}

func (f *fault) Error() string {
	text := plain(f.text)
	if text == "" {
		text = "no reason given"
	}
	if len(f.codes) > 0 {
		text = plain(f.codes[len(f.codes)-1]) + ": " + text
	}
	return "the camera refuses: " + text
}

// reason maps the codes of ONVIF's Core Specification, 5.8.2.
func (f *fault) reason() ingest.Reason {
	for _, code := range f.codes {
		switch strings.ToLower(code) {
		case "notauthorized", "failedauthentication", "invalidsecurity", "invalidsecuritytoken", "securitytokenunavailable", "failedcheck":
			return ingest.ReasonUnauthorized
		}
	}
	return ingest.ReasonFailed
}

// readEnvelope reads the body of an answer. Prefixes differ from maker to maker
// and some have namespaces wrong, so only local names count.
func readEnvelope(text []byte, answer any) (*fault, error) {
	var envelope struct {
		XMLName xml.Name
		Fault   *struct {
			Code   faultCode `xml:"Code"`
			Reason []string  `xml:"Reason>Text"`
			Code11 string    `xml:"faultcode"` // of SOAP 1.1
			Text11 string    `xml:"faultstring"`
		} `xml:"Body>Fault"`
	}
	if err := decode(text, &envelope); err != nil {
		return nil, fmt.Errorf("not XML: %w", err)
	}
	if envelope.XMLName.Local != "Envelope" {
		return nil, errors.New("not SOAP")
	}
	if f := envelope.Fault; f != nil {
		if f.Code11 != "" {
			return &fault{[]string{local(f.Code11)}, f.Text11}, nil
		}
		return &fault{f.Code.list(), strings.Join(f.Reason, "; ")}, nil
	}
	return nil, decode(text, answer)
}

// faultCode is a code of SOAP 1.2 and the finer one inside it.
type faultCode struct {
	Value   string     `xml:"Value"`
	Subcode *faultCode `xml:"Subcode"`
}

func (c *faultCode) list() (codes []string) {
	for depth := 0; c != nil && depth < 10; c, depth = c.Subcode, depth+1 {
		if c.Value != "" {
			codes = append(codes, local(c.Value))
		}
	}
	return codes
}

// local is a name without its prefix.
func local(name string) string {
	_, after, ok := strings.Cut(strings.TrimSpace(name), ":")
	if !ok {
		return strings.TrimSpace(name)
	}
	return after
}

func decode(text []byte, into any) error {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.Strict = false                                                                   // entities and unclosed tags of old firmware
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // names are all that may suffer
	return d.Decode(into)
}
