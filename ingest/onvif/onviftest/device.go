// Package onviftest is an ONVIF camera inside the process, in the dialects of two
// makers, for tests of the client and of what is built on it.
package onviftest

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Dialect is how a camera speaks.
type Dialect int

// Dialects.
const (
	// Modern has both media services, H.265, prefixes, a login by UsernameToken
	// and a clock that is three hours ahead.
	Modern Dialect = iota
	// Old has no GetServices, the first media service only, SOAP 1.1's faults, a
	// login by HTTP Digest, and stream addresses on another host with a password.
	Old
)

// The login that cameras ask for.
const (
	Username = "viewer"
	Password = "s3cret<&>"
)

// ahead is how wrong the modern camera's clock is.
const ahead = 3 * time.Hour

// Camera is a running camera. Stream, where set, is the address of all its streams.
type Camera struct {
	*httptest.Server
	Stream string

	dialect Dialect
	asked   atomic.Int64
}

// Serve starts a camera that ends with the test.
func Serve(t testing.TB, dialect Dialect) *Camera {
	c := &Camera{dialect: dialect}
	c.Server = httptest.NewServer(http.HandlerFunc(c.answer))
	t.Cleanup(c.Close)
	return c
}

// Asked is how many questions were answered.
func (c *Camera) Asked() int { return int(c.asked.Load()) }

func (c *Camera) answer(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	question := string(text)
	action := find(`Body><(\w+) `, question)
	if r.Method != http.MethodPost || r.URL.Path != "/onvif/device_service" && r.URL.Path != "/onvif/media" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/soap+xml; charset=utf-8")
	if action != "GetSystemDateAndTime" && !c.allowed(r, question) {
		if c.dialect == Old {
			w.Header().Set("WWW-Authenticate", `Digest realm="IPC", qop="auth", nonce="47a1", opaque=""`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, modern(`<env:Fault><env:Code><env:Value>env:Sender</env:Value><env:Subcode><env:Value>ter:NotAuthorized</env:Value></env:Subcode></env:Code>
			<env:Reason><env:Text xml:lang="en">Sender not authorized</env:Text></env:Reason></env:Fault>`))
		return
	}
	c.asked.Add(1)
	if c.dialect == Old {
		c.old(w, action, question)
		return
	}
	c.modern(w, r, action, question)
}

func (c *Camera) allowed(r *http.Request, question string) bool {
	if c.dialect == Old {
		a := r.Header.Get("Authorization")
		get := func(name string) string { return find(`[ ,]`+name+`="?([^",]*)`, a) }
		sum := func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) }
		want := sum(sum(Username+":IPC:"+Password) + ":47a1:" + get("nc") + ":" + get("cnonce") + ":auth:" + sum("POST:"+r.URL.Path))
		return get("username") == Username && get("response") == want
	}
	created := find(`Created>([^<]*)<`, question)
	nonce, _ := base64.StdEncoding.DecodeString(find(`Nonce [^>]*>([^<]*)<`, question))
	h := sha1.New()
	h.Write(nonce)
	io.WriteString(h, created+Password)
	at, err := time.Parse(time.RFC3339, created)
	return err == nil && time.Since(at.Add(-ahead)).Abs() < 5*time.Second && find(`Username>([^<]*)<`, question) == Username &&
		find(`Password [^>]*>([^<]*)<`, question) == base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func find(pattern, text string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

func (c *Camera) stream(otherwise string) string {
	if c.Stream != "" {
		return c.Stream
	}
	return otherwise
}

func modern(body string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope" xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl"
 xmlns:tr2="http://www.onvif.org/ver20/media/wsdl" xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:ter="http://www.onvif.org/ver10/error">
<env:Header/><env:Body>` + body + `</env:Body></env:Envelope>`
}

func (c *Camera) modern(w io.Writer, r *http.Request, action, question string) {
	now := time.Now().Add(ahead).UTC()
	token := find(`ProfileToken>([^<]*)<`, question)
	second := strings.Contains(question, "ver20/media")
	body := ""
	switch {
	case action == "GetSystemDateAndTime":
		body = fmt.Sprintf(`<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType><tt:TimeZone><tt:TZ>CST-8:00:00</tt:TZ></tt:TimeZone>
			<tt:UTCDateTime><tt:Time><tt:Hour>%d</tt:Hour><tt:Minute>%d</tt:Minute><tt:Second>%d</tt:Second></tt:Time><tt:Date><tt:Year>%d</tt:Year><tt:Month>%d</tt:Month><tt:Day>%d</tt:Day></tt:Date></tt:UTCDateTime>
			</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>`, now.Hour(), now.Minute(), now.Second(), now.Year(), now.Month(), now.Day())
	case action == "GetDeviceInformation":
		body = `<tds:GetDeviceInformationResponse><tds:Manufacturer>Acme</tds:Manufacturer><tds:Model>Dome &amp; Co 4</tds:Model><tds:FirmwareVersion>V5.5</tds:FirmwareVersion><tds:SerialNumber>AC-1</tds:SerialNumber></tds:GetDeviceInformationResponse>`
	case action == "GetServices":
		body = `<tds:GetServicesResponse>`
		for _, n := range []string{"device", "media"} {
			body += `<tds:Service><tds:Namespace>http://www.onvif.org/ver10/` + n + `/wsdl</tds:Namespace><tds:XAddr>http://` + r.Host + `/onvif/` + n + `</tds:XAddr></tds:Service>`
		}
		body += `<tds:Service><tds:Namespace>http://www.onvif.org/ver20/media/wsdl</tds:Namespace><tds:XAddr>http://` + r.Host + `/onvif/media</tds:XAddr></tds:Service></tds:GetServicesResponse>`
	case action == "GetProfiles" && second:
		body = `<tr2:GetProfilesResponse><tr2:Profiles fixed="true" token="P2"><tr2:Name>sub</tr2:Name><tr2:Configurations><tr2:VideoEncoder token="V2" GovLength="50" Profile="Main"><tt:Name>v</tt:Name>
			<tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>640</tt:Width><tt:Height>360</tt:Height></tt:Resolution><tt:RateControl ConstantBitRate="false"><tt:FrameRateLimit>12.5</tt:FrameRateLimit><tt:BitrateLimit>512</tt:BitrateLimit></tt:RateControl></tr2:VideoEncoder></tr2:Configurations></tr2:Profiles>
			<tr2:Profiles token="P1&lt;"><tr2:Name>main</tr2:Name><tr2:Configurations><tr2:VideoEncoder token="V1" GovLength="250"><tt:Encoding>H265</tt:Encoding><tt:Resolution><tt:Width>2688</tt:Width><tt:Height>1520</tt:Height></tt:Resolution><tt:RateControl><tt:FrameRateLimit>25</tt:FrameRateLimit><tt:BitrateLimit>4096</tt:BitrateLimit></tt:RateControl></tr2:VideoEncoder></tr2:Configurations></tr2:Profiles>
			<tr2:Profiles token="P3"><tr2:Name>metadata only</tr2:Name></tr2:Profiles></tr2:GetProfilesResponse>`
	case action == "GetStreamUri" && second:
		body = `<tr2:GetStreamUriResponse><tr2:Uri>` + c.stream(`rtsp://`+strings.Split(r.Host, ":")[0]+`:554/`+strings.Trim(token, "&lt;")+`?transport=unicast&amp;x=1`) + `</tr2:Uri></tr2:GetStreamUriResponse>`
	case action == "GetSnapshotUri" && token == "P2":
		body = `<tr2:GetSnapshotUriResponse><tr2:Uri>http://` + r.Host + `/snap.jpg</tr2:Uri></tr2:GetSnapshotUriResponse>`
	default:
		body = `<env:Fault><env:Code><env:Value>env:Receiver</env:Value><env:Subcode><env:Value>ter:ActionNotSupported</env:Value></env:Subcode></env:Code><env:Reason><env:Text>Optional action not implemented</env:Text></env:Reason></env:Fault>`
	}
	io.WriteString(w, modern(body))
}

func (c *Camera) old(w http.ResponseWriter, action, question string) {
	body := ""
	switch {
	case action == "GetSystemDateAndTime":
		now := time.Now().UTC()
		body = fmt.Sprintf(`<GetSystemDateAndTimeResponse xmlns="http://www.onvif.org/ver10/device/wsdl"><SystemDateAndTime><UTCDateTime xmlns="http://www.onvif.org/ver10/schema">
			<Date><Day>%d</Day><Month>%d</Month><Year>%d</Year></Date><Time><Second>%d</Second><Minute>%d</Minute><Hour>%d</Hour></Time></UTCDateTime></SystemDateAndTime></GetSystemDateAndTimeResponse>`,
			now.Day(), now.Month(), now.Year(), now.Second(), now.Minute(), now.Hour())
	case action == "GetDeviceInformation":
		body = `<ns1:GetDeviceInformationResponse><ns1:Manufacturer> </ns1:Manufacturer><ns1:Model>IPC-B12</ns1:Model></ns1:GetDeviceInformationResponse>`
	case action == "GetCapabilities":
		body = `<ns1:GetCapabilitiesResponse><ns1:Capabilities><ns2:Media><ns2:XAddr>http://192.168.1.108/onvif/media</ns2:XAddr></ns2:Media></ns1:Capabilities></ns1:GetCapabilitiesResponse>`
	case action == "GetProfiles":
		body = `<ns3:GetProfilesResponse><ns3:Profiles token="000"><ns2:Name>MediaProfile000</ns2:Name><ns2:VideoEncoderConfiguration token="e0"><ns2:Encoding>H264</ns2:Encoding><ns2:Resolution><ns2:Width>1280</ns2:Width><ns2:Height>720</ns2:Height></ns2:Resolution>
			<ns2:RateControl><ns2:FrameRateLimit>25</ns2:FrameRateLimit><ns2:EncodingInterval>1</ns2:EncodingInterval><ns2:BitrateLimit>unlimited</ns2:BitrateLimit></ns2:RateControl><ns2:H264><ns2:GovLength>25</ns2:GovLength></ns2:H264></ns2:VideoEncoderConfiguration></ns3:Profiles></ns3:GetProfilesResponse>`
	case action == "GetStreamUri" && strings.Contains(question, "RTP-Unicast"):
		body = `<ns3:GetStreamUriResponse><ns3:MediaUri><ns2:Uri>` + c.stream("rtsp://admin:hunter2@192.168.1.108/cam/realmonitor?channel=1&amp;subtype=0&amp;unicast=true&amp;password=hunter2") + `</ns2:Uri><ns2:InvalidAfterConnect>false</ns2:InvalidAfterConnect></ns3:MediaUri></ns3:GetStreamUriResponse>`
	default:
		w.WriteHeader(http.StatusInternalServerError)
		body = `<SOAP-ENV:Fault><faultcode>SOAP-ENV:Client</faultcode><faultstring>Method '` + action + `' not implemented</faultstring></SOAP-ENV:Fault>`
	}
	io.WriteString(w, `<?xml version="1.0" encoding="ISO-8859-1"?><SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/" xmlns:ns1="http://www.onvif.org/ver10/device/wsdl" `+
		`xmlns:ns2="http://www.onvif.org/ver10/schema" xmlns:ns3="http://www.onvif.org/ver10/media/wsdl"><SOAP-ENV:Body>`+body+`</SOAP-ENV:Body></SOAP-ENV:Envelope>`)
}
