package onvif

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"

	"sightline/ingest"
)

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"  AcmeCam  3000\n":           "AcmeCam 3000",
		"a\r\nb\x1b[31mc\x00":         "a b [31mc",
		"left\u202eright\u200b":       "left right",
		"caf\u00e9 \u76e3\u8996":      "café 監視",
		"bad \xff\xfe bytes":          "bad bytes",
		"\n\t":                        "",
		strings.Repeat("x", 200):      strings.Repeat("x", 200),
		strings.Repeat("é", 1<<20):    strings.Repeat("é", 200) + "…",
		strings.Repeat("\n", 1<<20):   "",
		strings.Repeat("ab\n", 1<<20): strings.Repeat("ab ", 66) + "ab…",
	} {
		if got := plain(text); got != want {
			t.Errorf("%.40q: %q, want %.40q", text, got, want)
		}
	}
}

// TestNoisyTexts reads a camera whose every text is made to spoil a terminal.
func TestNoisyTexts(t *testing.T) {
	noise := "A\u202e&#10;B&#9;\u009b2J" + strings.Repeat("x", 10_000)
	answer := fmt.Sprintf(`<Envelope><Body><GetDeviceInformationResponse><Manufacturer>%[1]s</Manufacturer><Model>%[1]s</Model>`+
		`<FirmwareVersion>%[1]s</FirmwareVersion><SerialNumber>%[1]s</SerialNumber></GetDeviceInformationResponse>`+
		`<GetCapabilitiesResponse><Capabilities><Media><XAddr>http://h/</XAddr></Media></Capabilities></GetCapabilitiesResponse>`+
		`<GetProfilesResponse><Profiles token="1"><Name>%[1]s</Name><VideoEncoderConfiguration><Encoding>%[1]s</Encoding></VideoEncoderConfiguration></Profiles></GetProfilesResponse>`+
		`<GetStreamUriResponse><MediaUri><Uri>rtsp://h/</Uri></MediaUri></GetStreamUriResponse></Body></Envelope>`, noise)
	d, err := describe(t, serveText(t, answer), "", "")
	if err != nil || len(d.Profiles) != 1 {
		t.Fatalf("%d profiles, %v", len(d.Profiles), err)
	}
	_, err = describe(t, serveText(t, fmt.Sprintf(`<Envelope><Body><Fault><Code><Value>s:%[1]s</Value></Code><Reason><Text>%[1]s</Text></Reason></Fault></Body></Envelope>`, noise)), "", "")
	if ingest.ReasonOf(err) != ingest.ReasonFailed {
		t.Fatalf("%v", err)
	}
	found := matches([]byte(`<Envelope><Body><ProbeMatches><ProbeMatch><XAddrs>http://h/</XAddrs><Scopes>onvif://www.onvif.org/name/A%0A%1B` +
		strings.Repeat("x", 10_000) + `</Scopes></ProbeMatch></ProbeMatches></Body></Envelope>`))
	if len(found) != 1 {
		t.Fatalf("%d found", len(found))
	}
	p := d.Profiles[0]
	for name, text := range map[string]string{
		"manufacturer": d.Manufacturer, "model": d.Model, "firmware": d.Firmware, "serial": d.Serial, "profile": p.Name, "codec": string(p.Codec),
		"fault": err.Error(), "found": found[0].Name,
	} {
		if len(text) > 700 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || !strings.ContainsAny(text, "Aa") {
			t.Errorf("%s: %d bytes, %.60q", name, len(text), text)
		}
	}
}

func serveText(t *testing.T, text string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(text)) }))
	t.Cleanup(server.Close)
	return server.URL
}
