package onvif

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"sightline/ingest"
	"sightline/ingest/onvif/onviftest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func describe(t *testing.T, address, user, password string) (Device, error) {
	t.Helper()
	config := Defaults()
	config.Address, config.Username, config.Password, config.Timeout = address, user, password, time.Second
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.Describe(t.Context())
}

// TestModern asks a camera whose clock is wrong, by its address alone.
func TestModern(t *testing.T) {
	camera := onviftest.Serve(t, onviftest.Modern)
	host := strings.TrimPrefix(camera.URL, "http://")
	got, err := describe(t, host, onviftest.Username, onviftest.Password)
	if err != nil {
		t.Fatal(err)
	}
	if (got.Ahead - 3*time.Hour).Abs() > 3*time.Second {
		t.Errorf("the camera's clock is %v ahead, want 3 h", got.Ahead)
	}
	got.Ahead = 0
	want := Device{Manufacturer: "Acme", Model: "Dome & Co 4", Firmware: "V5.5", Serial: "AC-1", Profiles: []Profile{
		{Token: "P1<", Name: "main", Codec: ingest.H265, Width: 2688, Height: 1520, FPS: 25, Bitrate: 4096000, GOP: 250, Stream: "rtsp://127.0.0.1:554/P1?transport=unicast&x=1"},
		{Token: "P2", Name: "sub", Codec: ingest.H264, Width: 640, Height: 360, FPS: 12.5, Bitrate: 512000, GOP: 50,
			Stream: "rtsp://127.0.0.1:554/P2?transport=unicast&x=1", Snapshot: camera.URL + "/snap.jpg"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestOld asks a camera behind a router, which names itself by an address of its
// own network.
func TestOld(t *testing.T) {
	camera := onviftest.Serve(t, onviftest.Old)
	got, err := describe(t, camera.URL, onviftest.Username, onviftest.Password)
	if err != nil {
		t.Fatal(err)
	}
	got.Ahead = 0
	want := Device{Model: "IPC-B12", Profiles: []Profile{{
		Token: "000", Name: "MediaProfile000", Codec: ingest.H264, Width: 1280, Height: 720, FPS: 25, GOP: 25,
		Stream: "rtsp://127.0.0.1/cam/realmonitor?channel=1&subtype=0&unicast=true&password=hunter2",
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUnauthorized(t *testing.T) {
	for _, dialect := range []onviftest.Dialect{onviftest.Modern, onviftest.Old} {
		camera := onviftest.Serve(t, dialect)
		for user, says := range map[string]string{"": "asks for username and password", onviftest.Username: "wrong username or password"} {
			_, err := describe(t, camera.URL, user, "hunter2")
			if ingest.ReasonOf(err) != ingest.ReasonUnauthorized || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("dialect %v, user %q: %v", dialect, user, err)
			}
		}
	}
}

// TestOthers asks what is no camera.
func TestOthers(t *testing.T) {
	answer := func(status int, text string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			w.Write([]byte(text))
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then does the server see that the client is gone
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, c := range map[string]struct {
		address string
		reason  ingest.Reason
		says    string
	}{
		"web server": {answer(404, "not found"), ingest.ReasonNotFound, "does not answer as an ONVIF camera: status 404"},
		"page":       {answer(200, "<html><body><p>hello<br></body></html>"), ingest.ReasonFailed, "not SOAP"},
		"text":       {answer(200, "hello"), ingest.ReasonFailed, "not XML"},
		"too much":   {answer(200, "<a>"+strings.Repeat("x", 2<<20)), ingest.ReasonFailed, "more than 1 MiB"},
		"empty SOAP": {answer(200, "<a:Envelope><a:Body/></a:Envelope>"), ingest.ReasonFailed, "names no address"},
		"refused":    {closed.Addr().String(), ingest.ReasonRefused, "connection refused"},
		"silent":     {silent.URL, ingest.ReasonTimeout, "no answer within 1s"},
	} {
		if _, err := describe(t, c.address, "viewer", "hunter2"); ingest.ReasonOf(err) != c.reason || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %s and %q", name, err, c.reason, c.says)
		}
	}
	for _, address := range []string{"", "ftp://h", "http://", "http://viewer:hun%ter2@h/"} {
		if _, err := New(Config{Address: address}); err == nil || strings.Contains(err.Error(), "hun%ter2") {
			t.Errorf("%q: %v", address, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, err := New(Config{Address: silent.URL, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Describe(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// TestPasswordDigest is the example of ONVIF's Application Programmer's Guide, 6.1.1.3.
func TestPasswordDigest(t *testing.T) {
	nonce, err := base64.StdEncoding.DecodeString("LKqI6G/AikKCQrN0zqZFlg==")
	if err != nil {
		t.Fatal(err)
	}
	if got := passwordDigest(nonce, "2010-09-16T07:50:45Z", "userpassword"); got != "tuOSpGlFlIXsozq4HFNeeGeFLEI=" {
		t.Errorf("digest %s", got)
	}
}

func TestReach(t *testing.T) {
	for _, c := range []struct{ device, address, want string }{
		{"10.0.0.3", "rtsp://10.0.0.3:554/a", "rtsp://10.0.0.3:554/a"},
		{"10.0.0.3:8000", "rtsp://admin:pw@192.168.1.64:554/a?b=c", "rtsp://10.0.0.3:554/a?b=c"},
		{"camera.example:8000", "http://192.168.1.64/onvif/media", "http://camera.example:8000/onvif/media"},
		{"10.0.0.3:8000", "http://10.0.0.3:8899/onvif/media", "http://10.0.0.3:8899/onvif/media"},
		{"https://camera.example", "rtsp://192.168.1.64/x", "rtsp://camera.example/x"},
		{"[fe80::1]:80", "rtsp://192.168.1.64/x", "rtsp://[fe80::1]/x"},
		{"[fe80::1]", "rtsp://192.168.1.64:554/x", "rtsp://[fe80::1]:554/x"},
		{"10.0.0.3", "nonsense", ""}, {"10.0.0.3", "", ""},
	} {
		client, err := New(Config{Address: c.device})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if u, err := client.reach(c.address); err == nil {
			got = u.String()
		}
		if got != c.want {
			t.Errorf("%s from %s: %q, want %q", c.address, c.device, got, c.want)
		}
	}
}

func TestServiceKeepsTLS(t *testing.T) {
	for _, c := range []struct{ device, address, want string }{
		{"https://camera.example:8443", " http://192.168.1.64/onvif/media\n", "https://camera.example:8443/onvif/media"},
		{"https://camera.example", "http://camera.example:80/onvif/media", "https://camera.example/onvif/media"},
		{"https://camera.example", "https://camera.example:8443/onvif/media", "https://camera.example:8443/onvif/media"},
		{"camera.example", "http://camera.example:8899/onvif/media", "http://camera.example:8899/onvif/media"},
	} {
		client, err := New(Config{Address: c.device})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := client.service(c.address); err != nil || got.String() != c.want {
			t.Errorf("%q from %s: %v, %v, want %q", c.address, c.device, got, err, c.want)
		}
	}
}

// FuzzSOAP reads whatever a camera answers, to every question.
func FuzzSOAP(f *testing.F) {
	f.Add(`<e:Envelope xmlns:e="x"><e:Body><GetProfilesResponse><Profiles token="1"><Name>n</Name><VideoEncoderConfiguration><Encoding>H264</Encoding><Resolution><Width>1e99</Width></Resolution></VideoEncoderConfiguration></Profiles></GetProfilesResponse></e:Body></e:Envelope>`)
	f.Add(`<Envelope><Body><Fault><Code><Value>a:Sender</Value><Subcode><Value>ter:NotAuthorized</Value></Subcode></Code></Fault></Body></Envelope>`)
	f.Add(`<Envelope><Body><Fault><faultcode>x:y</faultcode></Fault></Body></Envelope>`)
	f.Add(`<Envelope><Body><GetStreamUriResponse><MediaUri><Uri>rtsp://a:b@c/d</Uri></MediaUri></GetStreamUriResponse></Body></Envelope>`)
	f.Add(`<Envelope><Body><GetSystemDateAndTimeResponse><SystemDateAndTime><UTCDateTime><Date><Year>99999999999</Year></Date></UTCDateTime></SystemDateAndTime></GetSystemDateAndTimeResponse></Body></Envelope>`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := New(Config{Address: "camera.example", Username: "viewer", Password: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		c.client.Transport = canned(text)
		d, err := c.Describe(t.Context())
		var e *ingest.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%v gives no reason", err)
		}
		if len(d.Profiles) > maxProfiles {
			t.Errorf("%d profiles", len(d.Profiles))
		}
		for _, p := range d.Profiles {
			if !strings.Contains(p.Stream, "://camera.example") || strings.Contains(p.Stream, "@") && !strings.Contains(text, "@") {
				t.Errorf("stream %q", p.Stream)
			}
		}
	})
}

// canned answers every question with one text.
type canned string

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	recorder.WriteString(string(c))
	return recorder.Result(), nil
}
