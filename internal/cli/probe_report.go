package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"sightline/ingest"
	"sightline/pipelines/spec"
)

// streamReport is what `probe` says of one stream. What is not known is absent.
type streamReport struct {
	URL       string       `json:"url"`
	Kind      string       `json:"kind"`
	Transport string       `json:"transport,omitempty"`
	Codec     ingest.Codec `json:"codec"`
	Profile   string       `json:"profile,omitempty"`
	Width     int          `json:"width,omitempty"`
	Height    int          `json:"height,omitempty"`
	Pictures  int          `json:"pictures"`
	SeenS     float64      `json:"seen_s"`
	FPS       float64      `json:"fps,omitempty"`
	Bitrate   int          `json:"bitrate_bps,omitempty"`

	FirstKeyframeS float64     `json:"first_keyframe_s"`
	Keyframes      int         `json:"keyframes"`
	GOP            int         `json:"gop_pictures,omitempty"` // the longest that was seen whole
	GOPS           float64     `json:"gop_s,omitempty"`
	NonReference   float64     `json:"non_reference_share"`
	BFrames        bool        `json:"b_frames"`
	Clock          clockReport `json:"clock"`
	Lost           int         `json:"gaps"`

	Decoded     int     `json:"decoded"`
	Damaged     int     `json:"damaged"`
	DecodeCPUMs float64 `json:"decode_cpu_ms_per_picture,omitempty"`
	DecodeShare float64 `json:"decode_cores,omitempty"` // to decode everything
	DecodeError string  `json:"decode_error,omitempty"`

	Ended  *ending  `json:"ended,omitempty"`
	Advice []string `json:"advice"`
	YAML   string   `json:"yaml"`
}

type clockReport struct {
	Source        ingest.ClockSource `json:"source"`
	OffsetMs      *float64           `json:"offset_ms,omitempty"`
	UncertaintyMs *float64           `json:"uncertainty_ms,omitempty"`
	DriftPPM      *float64           `json:"drift_ppm,omitempty"`
}

// ending is why a stream ended before enough of it was seen.
type ending struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (m *measured) report(st *spec.Stream) *streamReport {
	gop, length := m.longest()
	r := &streamReport{
		URL: st.SafeURL(), Kind: string(st.Kind), Transport: m.transport, Codec: m.codec, Profile: m.profile,
		Width: m.width, Height: m.height, Pictures: m.packets, SeenS: seconds(m.last - m.first), FPS: rounded(m.fps(), 2),
		Bitrate: int(m.bitrate()), FirstKeyframeS: seconds(m.firstKey), Keyframes: m.keys, GOP: gop, GOPS: seconds(length),
		NonReference: rounded(float64(m.disposable)/float64(max(m.packets, 1)), 3), BFrames: m.reordered, Lost: m.breaks,
		Decoded: m.frames, Damaged: m.damaged, DecodeCPUMs: rounded(m.perPicture().Seconds()*1e3, 3),
		DecodeShare: rounded(m.perPicture().Seconds()*m.fps(), 3), Clock: clockReport{Source: m.clock.Source},
	}
	set := func(to **float64, v float64) {
		if v != 0 {
			v = rounded(v, 3)
			*to = &v
		}
	}
	set(&r.Clock.OffsetMs, m.clock.Offset.Seconds()*1e3)
	set(&r.Clock.UncertaintyMs, m.clock.Uncertainty.Seconds()*1e3)
	set(&r.Clock.DriftPPM, m.clock.Drift)
	if m.decodeError != nil {
		r.DecodeError = m.decodeError.Error()
	}
	r.Advice = m.advice(st)
	return r
}

func seconds(d time.Duration) float64 { return rounded(d.Seconds(), 3) }

func rounded(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}

func (r *streamReport) print(sh *shell, asJSON bool) error {
	if asJSON {
		return printJSON(sh.out, r)
	}
	fmt.Fprintln(sh.out, r.URL)
	for _, line := range r.lines() {
		fmt.Fprintf(sh.out, "  %-11s %s\n", line[0], line[1])
	}
	printAdvice(sh.out, r.Advice, r.YAML)
	return nil
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

func printAdvice(w io.Writer, advice []string, yaml string) {
	if len(advice) > 0 {
		fmt.Fprintln(w, "\nAdvice")
	}
	for _, a := range advice {
		fmt.Fprintln(w, "  - "+a)
	}
	fmt.Fprintf(w, "\nA pipeline file for it:\n\n%s", yaml)
}

// lines are the report for people, each with its head.
func (r *streamReport) lines() [][2]string {
	out := [][2]string{{"codec", strings.TrimSpace(string(r.Codec) + " " + r.Profile)}}
	add := func(head, format string, args ...any) {
		out = append(out, [2]string{head, fmt.Sprintf(format, args...)})
	}
	if r.Width > 0 {
		add("size", "%d×%d", r.Width, r.Height)
	}
	if r.FPS > 0 {
		add("rate", "%.4g pictures a second (%d in %.1f s)", r.FPS, r.Pictures, r.SeenS)
		add("bitrate", "%s", bitrate(r.Bitrate))
	} else {
		add("rate", "%s only", count(r.Pictures, "picture"))
	}
	add("keyframes", "%s", r.keyframes())
	add("structure", "%s", r.structure())
	add("clock", "%s", r.Clock)
	if r.Transport != "" {
		add("transport", "%s", r.Transport)
	}
	add("loss", "%s", map[bool]string{true: "none seen", false: count(r.Lost, "gap")}[r.Lost == 0])
	decoding := count(r.Decoded, "picture")
	if r.DecodeCPUMs > 0 {
		decoding += fmt.Sprintf(", %.2f ms of CPU each", r.DecodeCPUMs)
	}
	if r.DecodeShare > 0 {
		decoding += fmt.Sprintf(": %.1f %% of a core for all of them", 100*r.DecodeShare)
	}
	if r.Damaged > 0 {
		decoding += fmt.Sprintf("; %d damaged", r.Damaged)
	}
	add("decoding", "%s", decoding)
	if r.DecodeError != "" {
		add("", "%s", r.DecodeError)
	}
	if r.Ended != nil {
		add("ended", "%s: %s", r.Ended.Reason, r.Ended.Message)
	}
	return out
}

func (r *streamReport) keyframes() string {
	first := fmt.Sprintf("; the first came after %.2f s", r.FirstKeyframeS)
	switch {
	case r.Keyframes == r.Pictures:
		return "every picture" + first
	case r.GOP > 0:
		return fmt.Sprintf("every %d pictures, %.2g s%s", r.GOP, r.GOPS, first)
	case r.Keyframes > 0:
		return fmt.Sprintf("no second one in %.1f s%s", r.SeenS, first)
	}
	return "none"
}

func (r *streamReport) structure() string {
	if r.Keyframes == r.Pictures {
		return "each picture stands alone"
	}
	b := "no B-frames"
	if r.BFrames {
		b = "B-frames"
	}
	if r.NonReference == 0 {
		return b + "; others depend on every picture"
	}
	return fmt.Sprintf("%s; no other picture depends on %.0f %% of the pictures", b, 100*r.NonReference)
}

// String is the clock for people.
func (c clockReport) String() string {
	text := string(c.Source)
	if c.OffsetMs != nil {
		text += fmt.Sprintf(", the sender's clock is %+.1f ms from ours", *c.OffsetMs)
	}
	if c.UncertaintyMs != nil {
		text += fmt.Sprintf(", ±%.3g ms", *c.UncertaintyMs)
	}
	if c.DriftPPM != nil {
		text += fmt.Sprintf(", drifts by %+.1f ppm", *c.DriftPPM)
	}
	return text
}

func bitrate(bps int) string {
	if bps >= 1e6 {
		return fmt.Sprintf("%.1f Mbit/s", float64(bps)/1e6)
	}
	return fmt.Sprintf("%.0f kbit/s", float64(bps)/1e3)
}
