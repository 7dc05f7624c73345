package ingest

import (
	"net/url"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for text, says := range map[string]string{
		"http://h/x": "", "https://viewer:hunter2@[::1]:8443/x?a=b": "",
		"ftp://viewer:hunter2@h/x": "url: does not begin with http:// or https://", "": "does not begin with",
		"http:///hunter2": "url: names no host", "http://viewer:hunter2%@h/": "url: cannot be read",
	} {
		_, err := ParseURL(text, "", "", "http", "https")
		if (says == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
	u, err := ParseURL("http://viewer:hunter2@h:81/x?token=hunter2#hunter2", "", "", "http")
	if err != nil || u.User.String() != "viewer:hunter2" || Redacted(u) != "http://viewer@h:81/x" {
		t.Errorf("%v, %v", u, err)
	}
	if u, err = ParseURL("http://viewer:hunter2@h/", "guard", "s3cret", "http"); err != nil || *u.User != *url.UserPassword("guard", "s3cret") {
		t.Errorf("%v, %v", u, err)
	}
}
