package spec

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

const supportedURLs = "rtsp://, rtsps://, file:PATH, a plain path, or whip:// to be published to"

// sourceOf tells which kind of source a stream's url names, and for a file its
// path. The error never shows the url: it may hold a password.
func sourceOf(text string) (SourceKind, string, error) {
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		if rest, ok := strings.CutPrefix(path, "//"); ok {
			if !strings.HasPrefix(rest, "/") {
				return File, "", errors.New("a file has no host: write file:PATH, or file:///PATH from the root")
			}
			path = rest
		}
		if path == "" {
			return File, "", errors.New("file: without a path")
		}
		return File, path, nil
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || strings.ContainsRune(scheme, '/') {
		return File, text, nil
	}
	switch strings.ToLower(scheme) {
	case "rtsp", "rtsps":
		return RTSP, "", nil
	case "whip":
		if rest != "" {
			return WHIP, "", errors.New("write just whip://; publishers find the stream at /whip/<its name>")
		}
		return WHIP, "", nil
	}
	return "", "", errors.New("unknown kind of address; supported are " + supportedURLs)
}

// credentials moves the user and password out of an rtsp url.
func credentials(text string) (bare, user, password string, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", "", "", errors.New("not a valid address; write special characters of a password as %XX, or use the keys username and password")
	}
	if u.Hostname() == "" {
		return "", "", "", errors.New("an address without a host")
	}
	if u.User == nil {
		return text, "", "", nil
	}
	user = u.User.Username()
	password, _ = u.User.Password()
	u.User = nil
	return u.String(), user, password, nil
}

// SafeURL is the stream's URL fit for logs and events: passwords that cameras
// take as part of the path or query are masked.
func (s *Stream) SafeURL() string {
	return maskParameters(s.URL)
}

func secretParameter() *regexp.Regexp {
	return regexp.MustCompile(`(?i)((?:password|passwd|pass|pwd|token|key|secret|auth)=)[^&;/?#]*`)
}

func maskParameters(s string) string {
	return secretParameter().ReplaceAllString(s, "${1}"+mask)
}
