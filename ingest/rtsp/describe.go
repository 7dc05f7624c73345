package rtsp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/sdp"
)

// What is looked at of a description, so that a monstrous one costs little.
const (
	maxSections = 64
	maxLines    = 128 // of a section
	maxFormats  = 32  // of a section
	maxNames    = 8   // of codecs told to the user
	maxName     = 40
)

// prologue is the least that the library takes for a session.
const prologue = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"

// A section is one media of a description that can be used.
type section struct {
	text       string
	media      *description.Media
	feedback   feedback
	extensions map[uint8]string // of RTP headers, by their number in this stream
}

// offered is what a camera's description says, without the faults and
// extravagances that the library refuses a whole session for: a setting that does
// not parse, an unknown line, a broken track beside a good one.
type offered struct {
	head     string
	sections []section
	names    []string // of everything offered, for people
}

// readOffer parses the body of an answer to DESCRIBE (RFC 8866, RFC 2326
// appendix C). It never fails: what cannot be used is left out.
func readOffer(body []byte) offered {
	o := offered{head: prologue}
	general := map[uint8]string{}
	var lines []string
	media := 0
	for line := range strings.SplitSeq(string(body), "\n") {
		line = strings.Trim(line, " \t\r\x00")
		switch {
		case strings.HasPrefix(line, "m="):
			o.add(lines, general)
			lines = []string{line}
			if media++; media > maxSections {
				o.names = append(o.names, "and more")
				return o
			}
		case media == 0 && (absoluteControl(line) || strings.HasPrefix(line, "a=key-mgmt:")):
			o.head += line + "\r\n"
		case media == 0:
			addExtension(general, line)
		case len(lines) < maxLines:
			lines = append(lines, line)
		}
	}
	o.add(lines, general)
	return o
}

// absoluteControl says whether the line names the URL of the whole session. A
// relative one, or a star, means the one asked for.
func absoluteControl(line string) bool {
	u, is := strings.CutPrefix(line, "a=control:")
	return is && (strings.HasPrefix(u, "rtsp://") || strings.HasPrefix(u, "rtsps://"))
}

// add takes the lines of one section, without its faults if need be.
func (o *offered) add(lines []string, general map[uint8]string) {
	if len(lines) == 0 {
		return
	}
	title, rest := lines[0], lines[1:]
	fields := strings.Fields(title)
	if len(fields) < 4 {
		return
	}
	if len(fields) > 3+maxFormats {
		fields = fields[:3+maxFormats]
	}
	fields[1] = "0" // the port that SETUP will tell
	title = strings.Join(fields, " ") + "\r\n"
	o.name(fields, rest)
	var err error
	for _, keep := range []func(string) string{plain, withoutSets, withoutSettings} {
		s := section{text: title}
		for _, line := range rest {
			s.text += keep(line)
		}
		if s.media, err = parse(o.head + s.text); err != nil {
			continue
		}
		s.feedback = feedbackOf(fields[2], rest)
		s.extensions = map[uint8]string{}
		for id, uri := range general {
			s.extensions[id] = uri
		}
		for _, line := range rest {
			addExtension(s.extensions, line)
		}
		o.sections = append(o.sections, s)
		return
	}
}

// name notes what a section calls its formats.
func (o *offered) name(fields, lines []string) {
	for _, payload := range fields[3:] {
		name := fields[0][len("m="):] + " format " + payload
		for _, line := range lines {
			if m, is := strings.CutPrefix(line, "a=rtpmap:"+payload+" "); is {
				name, _, _ = strings.Cut(strings.TrimSpace(m), "/")
			}
		}
		if len(o.names) < maxNames {
			o.names = append(o.names, fmt.Sprintf("%.*s", maxName, name))
		}
	}
}

// plain keeps the lines that the library needs, each as it is.
func plain(line string) string {
	for _, kind := range []string{"a=rtpmap:", "a=fmtp:", "a=control:", "a=sendonly", "a=key-mgmt:"} {
		if strings.HasPrefix(line, kind) {
			return line + "\r\n"
		}
	}
	return ""
}

// withoutSets also leaves out parameter sets, which mostly come in the stream
// too.
func withoutSets(line string) string {
	if !strings.HasPrefix(line, "a=fmtp:") {
		return plain(line)
	}
	var kept []string
	for setting := range strings.SplitSeq(line, ";") {
		if !strings.Contains(setting, "sprop-") || strings.Contains(setting, "sprop-max-don-diff") {
			kept = append(kept, setting)
		}
	}
	if len(kept) == 0 || !strings.HasPrefix(kept[0], "a=fmtp:") {
		// The first setting, which was a set, stands behind the payload type.
		payload, _, _ := strings.Cut(line, " ")
		kept = append([]string{payload + " "}, kept...)
	}
	return strings.Join(kept, ";") + "\r\n"
}

// withoutSettings leaves out all settings of formats.
func withoutSettings(line string) string {
	if strings.HasPrefix(line, "a=fmtp:") {
		return ""
	}
	return plain(line)
}

// parse reads a description of one section the way the library will, which also
// shows what would make it panic.
func parse(text string) (media *description.Media, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("the description breaks its parser: %v", fault)
		}
	}()
	var lines sdp.SessionDescription
	if err := lines.Unmarshal([]byte(text)); err != nil {
		return nil, err
	}
	var session description.Session
	if err := session.Unmarshal(&lines); err != nil {
		return nil, err
	}
	if len(session.Medias) != 1 {
		return nil, errors.New("a section in a section")
	}
	media = session.Medias[0]
	if media.KeyMgmtMikey == nil {
		media.KeyMgmtMikey = session.KeyMgmtMikey
	}
	if media.KeyMgmtMikey != nil {
		dated(media.KeyMgmtMikey)
	}
	return media, nil
}

// text is the description without its faults; nil when nothing can be used.
func (o offered) text() []byte {
	if len(o.sections) == 0 {
		return nil
	}
	text := o.head
	for _, s := range o.sections {
		text += s.text
	}
	return []byte(text)
}

// addExtension reads a line a=extmap:ID[/DIRECTION] URI (RFC 8285, 5).
func addExtension(to map[uint8]string, line string) {
	value, is := strings.CutPrefix(line, "a=extmap:")
	fields := strings.Fields(value)
	if !is || len(fields) < 2 || len(to) >= maxFormats {
		return
	}
	number, _, _ := strings.Cut(fields[0], "/")
	if id, err := strconv.ParseUint(number, 10, 8); err == nil && id > 0 {
		to[uint8(id)] = fields[1]
	}
}
