package spec

import (
	"errors"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const supportedURLs = "rtsp(s)://, http(s)://, rtmp(s)://, srt://, whep(s)://, hls+http(s)://, file:PATH, images:FOLDER-OR-GLOB, " +
	"v4l2:DEVICE, pattern:, a plain path, or whip:// to be published to"

// schemes are the words an address may begin with.
func schemes() []string {
	return []string{
		"rtsp", "rtsps", "http", "https", "hls+http", "hls+https", "rtmp", "rtmps", "srt", "whep", "wheps", "whip",
		"file", "images", "v4l2", "pattern",
	}
}

var (
	errScheme  = errors.New("unknown kind of address; supported are " + supportedURLs)
	errAddress = errors.New("not a valid address; write special characters of a password as %XX, or use the keys username and password")
)

// sourceOf tells which kind of source an address names, and what is local about
// it: the path of a file or device, the glob of images, the size of a pattern.
// The error never shows the address: it may hold a password.
func sourceOf(text string) (SourceKind, string, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok || strings.ContainsAny(scheme, `/\`) {
		return File, text, nil
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case "file":
		return local(File, rest, "a path")
	case "images":
		return local(Images, rest, "a folder or glob")
	case "v4l2":
		return local(V4L2, rest, "a device, such as v4l2:/dev/video0")
	case "pattern":
		return Pattern, rest, checkPattern(rest)
	}
	address, ok := strings.CutPrefix(rest, "//")
	switch {
	case ok:
	case slices.Contains(schemes(), scheme), nearest(scheme, schemes()) != "":
		return "", "", errScheme
	default:
		return File, text, nil
	}
	switch scheme {
	case "rtsp", "rtsps":
		return RTSP, "", nil
	case "whep", "wheps":
		return WHEP, "", nil
	case "rtmp", "rtmps":
		return RTMP, "", nil
	case "srt":
		return SRT, "", nil
	case "hls+http", "hls+https":
		return HLS, "", nil
	case "http", "https":
		before, _, _ := strings.Cut(address, "?")
		before, _, _ = strings.Cut(before, "#")
		if strings.EqualFold(path.Ext(before), ".m3u8") {
			return HLS, "", nil
		}
		return HTTP, "", nil
	case "whip":
		if address != "" {
			return WHIP, "", errors.New("write just whip://; publishers find the stream at /whip/<its name>")
		}
		return WHIP, "", nil
	}
	return "", "", errScheme
}

// local is the path behind file: and its like.
func local(kind SourceKind, rest, want string) (SourceKind, string, error) {
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		if !strings.HasPrefix(after, "/") {
			return kind, "", errors.New("a " + string(kind) + " address has no host: write " + string(kind) + ":PATH, or " + string(kind) + ":///PATH from the root")
		}
		rest = after
	}
	if rest == "" {
		return kind, "", errors.New(string(kind) + ": without " + want)
	}
	return kind, rest, nil
}

// Bounds of a test pattern.
const (
	leastPattern    = 16
	mostPattern     = 8192
	mostPatternRate = 240
)

var errPattern = errors.New("want pattern: alone or pattern:WIDTHxHEIGHT@FPS, such as pattern:1280x720@25, with even sizes of 16 to 8192 and at most 240 pictures a second")

func checkPattern(text string) error {
	_, _, _, err := parsePattern(text)
	return err
}

// parsePattern reads WIDTHxHEIGHT@FPS; what is left out is 0.
func parsePattern(text string) (width, height int, fps float64, err error) {
	size, rate, rated := strings.Cut(text, "@")
	if rated {
		if fps, err = strconv.ParseFloat(rate, 64); err != nil || !(fps > 0 && fps <= mostPatternRate) {
			return 0, 0, 0, errPattern
		}
	}
	if size == "" {
		return 0, 0, fps, nil
	}
	w, h, ok := strings.Cut(size, "x")
	width, errW := strconv.Atoi(w)
	height, errH := strconv.Atoi(h)
	fits := func(n int) bool { return n >= leastPattern && n <= mostPattern && n%2 == 0 }
	if !ok || errW != nil || errH != nil || !fits(width) || !fits(height) {
		return 0, 0, 0, errPattern
	}
	return width, height, fps, nil
}

// networked tells whether an address of the kind names a host.
func (k SourceKind) networked() bool {
	switch k {
	case RTSP, WHEP, HLS, HTTP, RTMP, SRT:
		return true
	}
	return false
}

// takeCredentials moves what logs in out of an address, into its Username and
// Password.
func (a *Address) takeCredentials() error {
	if !a.Kind.networked() {
		return nil
	}
	u, err := url.Parse(a.URL)
	if err != nil {
		return errAddress
	}
	if u.Hostname() == "" && !(a.Kind == SRT && u.Query().Get("mode") == "listener") {
		return errors.New("an address without a host")
	}
	if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > 65535) {
		return errors.New("port " + u.Port() + " is not in 1 to 65535")
	}
	if a.Kind == SRT {
		return a.takePassphrase(u)
	}
	if u.User == nil {
		return nil
	}
	a.Username = u.User.Username()
	password, _ := u.User.Password()
	a.Password = NewSecret(password)
	u.User = nil
	a.URL = u.String()
	return nil
}

// takePassphrase leaves the rest of the query as it was written.
func (a *Address) takePassphrase(u *url.URL) error {
	if u.Port() == "" {
		return errors.New("an srt address without a port")
	}
	if u.User != nil {
		return errors.New("an srt address has no user: write ?passphrase=, or use the key password")
	}
	var kept []string
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		value, ok := strings.CutPrefix(part, "passphrase=")
		if !ok {
			kept = append(kept, part)
			continue
		}
		plain, err := url.QueryUnescape(value)
		if err != nil {
			return errAddress
		}
		a.Password = NewSecret(plain)
	}
	if len(kept) < len(strings.Split(u.RawQuery, "&")) {
		u.RawQuery = strings.Join(kept, "&")
		a.URL = u.String()
	}
	return nil
}

func secretParameter() *regexp.Regexp {
	return regexp.MustCompile(`(?i)((?:password|passwd|passphrase|pass|pas|pwd|pw|psw|jwt|token|streamid|key|secret|auth|signature|sig)=)[^&;/?#\s"'>)]*`)
}

func maskParameters(s string) string {
	return secretParameter().ReplaceAllString(s, "${1}"+mask)
}
