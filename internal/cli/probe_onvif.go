package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"sightline/ingest"
	"sightline/ingest/onvif"
)

// deviceReport is what `probe` says of an ONVIF camera.
type deviceReport struct {
	Address      string          `json:"address"`
	Manufacturer string          `json:"manufacturer,omitempty"`
	Model        string          `json:"model,omitempty"`
	Firmware     string          `json:"firmware,omitempty"`
	Serial       string          `json:"serial,omitempty"`
	ClockAheadS  float64         `json:"clock_ahead_s"`
	Profiles     []profileReport `json:"profiles"`
	Advice       []string        `json:"advice"`
	YAML         string          `json:"yaml"`
}

type profileReport struct {
	Name     string       `json:"name"`
	Codec    ingest.Codec `json:"codec"`
	Width    int          `json:"width,omitempty"`
	Height   int          `json:"height,omitempty"`
	FPS      float64      `json:"fps,omitempty"`
	Bitrate  int          `json:"bitrate_bps,omitempty"`
	GOP      int          `json:"gop_pictures,omitempty"`
	Stream   string       `json:"stream"`
	Snapshot string       `json:"snapshot,omitempty"`
}

// device asks a camera by ONVIF and prints its answers.
func (p *probing) device(ctx context.Context, sh *shell) error {
	config := onvif.Defaults()
	config.Address, config.Username, config.Password = p.address, p.username, p.password
	config.Timeout, config.Insecure = p.timeout, p.insecure
	client, err := onvif.New(config)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer client.Close()
	bar := sh.progress(0, "asking "+client.Address())
	d, err := client.Describe(ctx)
	bar.Finish()
	if err != nil {
		return err
	}
	r, err := p.describe(client, d)
	if err != nil {
		return err
	}
	if p.asJSON {
		return printJSON(sh.out, r)
	}
	r.print(sh)
	return nil
}

// describe makes the report. Addresses go through the loader, which knows secrets
// in them.
func (p *probing) describe(client *onvif.Client, d onvif.Device) (*deviceReport, error) {
	r := &deviceReport{
		Address: client.Address(), Manufacturer: d.Manufacturer, Model: d.Model, Firmware: d.Firmware, Serial: d.Serial,
		ClockAheadS: seconds(d.Ahead), Advice: deviceAdvice(d),
	}
	for _, one := range d.Profiles {
		stream, err := masked(one.Stream)
		if err != nil {
			return nil, fmt.Errorf("profile %s: %w", one.Name, err)
		}
		snapshot, err := masked(one.Snapshot)
		if err != nil {
			snapshot = ""
		}
		r.Profiles = append(r.Profiles, profileReport{
			Name: one.Name, Codec: one.Codec, Width: one.Width, Height: one.Height, FPS: one.FPS, Bitrate: one.Bitrate, GOP: one.GOP,
			Stream: stream, Snapshot: snapshot,
		})
	}
	r.YAML = p.deviceYAML(client, r)
	return r, nil
}

// masked is an address with what looks like a secret in it masked.
func masked(address string) (string, error) {
	if address == "" {
		return "", nil
	}
	st, err := (&probing{address: address}).spec()
	if err != nil {
		return "", err
	}
	return st.SafeURL(), nil
}

func (p *probing) deviceYAML(client *onvif.Client, r *deviceReport) string {
	title := strings.TrimSpace(r.Manufacturer + " " + r.Model)
	lines := []string{}
	if title != "" {
		lines = append(lines, "title: "+quoted(title))
	}
	main, sub := r.Profiles[0], r.sub()
	if sub == nil {
		lines = append(lines, "url: "+safe(main.Stream))
	} else {
		lines = append(lines, fmt.Sprintf("urls: { main: %s, sub: %s }", safe(main.Stream), safe(sub.Stream)), "detect: { from: sub }")
	}
	user, password := client.Login()
	lines = append(lines, p.login(user, password)...)
	if p.insecure && strings.HasPrefix(main.Stream, "rtsps:") {
		lines = append(lines, "tls: { insecure: true }")
	}
	words := strings.FieldsFunc(title, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return pipelineText(streamName(cmp.Or(strings.Join(words, "-"), "camera"), map[string]bool{}), lines)
}

// leastWidth is of pictures in which people can still be told.
const leastWidth = 480

// sub is the smallest profile that is good enough to detect in, nil where the main
// one is.
func (r *deviceReport) sub() *profileReport {
	for i := len(r.Profiles) - 1; i > 0; i-- {
		if one := &r.Profiles[i]; (one.Width >= leastWidth || i == 1) && one.Stream != r.Profiles[0].Stream {
			return one
		}
	}
	return nil
}

func deviceAdvice(d onvif.Device) []string {
	list := []string{}
	if d.Ahead.Abs() > 2*clockWrong { // it tells whole seconds only
		list = append(list, fmt.Sprintf("the camera's clock is %s from this machine's: set its time server (NTP), so that events have true times", roughly(d.Ahead)))
	}
	for _, one := range d.Profiles {
		if one.FPS > 0 && float64(one.GOP)/one.FPS > longGroup.Seconds() {
			list = append(list, fmt.Sprintf("profile %s has a keyframe every %.0f s: set its I-frame interval to 1 or 2 s (%.0f to %.0f pictures), or detections wait that long after each interruption",
				one.Name, float64(one.GOP)/one.FPS, one.FPS, 2*one.FPS))
		}
		if one.Codec == ingest.H265 {
			list = append(list, fmt.Sprintf("profile %s is H.265: some browsers cannot show it on the page; detection does not mind", one.Name))
		}
	}
	return list
}

// roughly is as much of a time as is worth reading.
func roughly(d time.Duration) time.Duration {
	switch {
	case d.Abs() > 10*time.Minute:
		return d.Round(time.Minute)
	case d.Abs() > 10*time.Second:
		return d.Round(time.Second)
	}
	return d.Round(10 * time.Millisecond)
}

func (r *deviceReport) print(sh *shell) {
	name := strings.TrimSpace(r.Manufacturer + " " + r.Model)
	if r.Firmware != "" {
		name += ", firmware " + r.Firmware
	}
	fmt.Fprintf(sh.out, "%s\n  %s\n", r.Address, cmp.Or(strings.TrimPrefix(name, ", "), "an ONVIF camera"))
	for _, one := range r.Profiles {
		fmt.Fprintf(sh.out, "\n  %s: %s\n    %s\n", cmp.Or(one.Name, "profile"), one.facts(), one.Stream)
		if one.Snapshot != "" {
			fmt.Fprintf(sh.out, "    still: %s\n", one.Snapshot)
		}
	}
	printAdvice(sh.out, r.Advice, r.YAML)
}

// facts is what the camera says of a profile.
func (r profileReport) facts() string {
	facts := []string{string(r.Codec)}
	if r.Width > 0 {
		facts = append(facts, fmt.Sprintf("%d×%d", r.Width, r.Height))
	}
	if r.FPS > 0 {
		facts = append(facts, fmt.Sprintf("%.4g pictures a second", r.FPS))
	}
	if r.Bitrate > 0 {
		facts = append(facts, "at most "+bitrate(r.Bitrate))
	}
	if r.GOP > 0 {
		facts = append(facts, fmt.Sprintf("a keyframe every %d pictures", r.GOP))
	}
	return strings.Join(facts, ", ")
}
