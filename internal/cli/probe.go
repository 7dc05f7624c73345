package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sightline/ingest"
	"sightline/ingest/onvif"
)

// passwordVariable is where the password comes from when no flag says it, and
// what the printed YAML names in its place.
const passwordVariable = "CAMERA_PASSWORD"

// probing is what `probe` was asked.
type probing struct {
	address            string
	username, password string
	timeout, length    time.Duration
	insecure, asJSON   bool
}

func newProbe(sh *shell) *cobra.Command {
	var p probing
	c := &cobra.Command{
		Use:   "probe [URL|HOST|FILE]",
		Short: "Say what a camera, server or file delivers, and what to write for it",
		Long: "Probe reads a stream for a few seconds as `run` would and decodes it, and prints its codec, size, rate,\n" +
			"structure, clock and cost, advice, and a pipeline file for it. Given a host alone, it asks the camera there\n" +
			"by ONVIF which streams it has; given nothing, it looks for such cameras on this machine's networks.\n" +
			"The printed file never holds the password: it names the variable " + passwordVariable + ", which probe itself\n" +
			"reads too when --password is not given.",
		Example: "  sightline probe\n  sightline probe 10.0.0.3 --username viewer --password secret\n  sightline probe rtsp://10.0.0.3/main --username viewer\n" +
			"  sightline probe http://10.0.0.4/video.mjpg --json\n  sightline probe clip.mp4\n  sightline probe images:photos/",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.address = strings.Join(args, "")
			if !cmd.Flags().Changed("password") && (p.username != "" || strings.HasPrefix(p.address, "srt://")) {
				p.password, _ = sh.env(passwordVariable)
			}
			err := p.run(cmd.Context(), sh)
			if errors.Is(err, context.Canceled) {
				return errors.New("interrupted")
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&p.username, "username", "", "`NAME` to log in with")
	f.StringVar(&p.password, "password", "", "password to log in with (other users of this machine can see it; the variable "+passwordVariable+" is safer)")
	f.DurationVar(&p.timeout, "timeout", 10*time.Second, "how long connecting may take, and how long nothing may arrive")
	f.DurationVar(&p.length, "for", 5*time.Second, "how much of the stream to look at; two groups of pictures are enough too")
	f.BoolVar(&p.insecure, "insecure", false, "take any TLS certificate")
	f.BoolVar(&p.asJSON, "json", false, "print the findings as JSON")
	return c
}

func (p *probing) run(ctx context.Context, sh *shell) error {
	if p.timeout <= 0 || p.length <= 0 {
		return &ExitError{exitUsage, errors.New("--timeout and --for must be above 0")}
	}
	switch {
	case p.address == "":
		return p.discover(ctx, sh, onvif.MulticastAddress)
	case !isDevice(p.address):
		return p.stream(ctx, sh)
	}
	err := p.device(ctx, sh)
	if err == nil {
		return nil
	}
	if errors.Is(err, onvif.ErrNotONVIF) && strings.Contains(p.address, "://") {
		return p.stream(ctx, sh) // Motion JPEG may be at / too
	}
	return p.explain(err)
}

// isDevice tells whether an address names a camera rather than one of its streams:
// a host, or its web server without a path or with that of ONVIF.
func isDevice(address string) bool {
	if u, err := url.Parse(address); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		return u.RawQuery == "" && (u.Path == "" || u.Path == "/" || strings.HasPrefix(u.Path, "/onvif/"))
	}
	if _, err := os.Stat(address); err == nil {
		return false
	}
	if net.ParseIP(address) != nil {
		return true
	}
	return regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?$`).MatchString(address) && !isMedia(address)
}

// isMedia knows the names of files that are not there.
func isMedia(name string) bool {
	return slices.ContainsFunc([]string{".mp4", ".mkv", ".avi", ".mov", ".ts", ".webm", ".jpg", ".jpeg", ".png", ".h264", ".h265", ".mpg"}, func(end string) bool {
		return strings.HasSuffix(strings.ToLower(name), end)
	})
}

// explain adds to an error what can be done about it.
func (p *probing) explain(err error) error {
	var failed *ingest.Error
	if !errors.As(err, &failed) {
		return err
	}
	hint := ""
	switch failed.Reason {
	case ingest.ReasonRefused:
		if strings.HasPrefix(p.address, "srt://") {
			break // who listens there says no
		}
		hint = "nothing listens there, or a firewall says so: check host and port"
		if isDevice(p.address) {
			hint += ", such as HOST:8000 or HOST:8080; ONVIF may be switched off in the camera: then give the URL of a stream"
		}
	case ingest.ReasonTimeout:
		hint = "check the address, that the camera is on, and firewalls in between; --timeout waits longer"
	case ingest.ReasonUnauthorized:
		hint = "give --username, and the password as --password or in the variable " + passwordVariable
		if p.password != "" {
			hint = "this name and password are not taken there; many cameras lock the account after a few tries"
		}
	case ingest.ReasonNotFound:
		if !strings.Contains(p.address, "://") && !isDevice(p.address) {
			break // a file or device: the error says it all
		}
		hint = "the path is another; `sightline probe HOST` asks an ONVIF camera for its own"
		if isDevice(p.address) {
			hint = "name the port of its web server, HOST:PORT, or the URL of a stream as its manual has it"
		}
	case ingest.ReasonNoKeyframe:
		hint = "set the camera's I-frame interval to 1 or 2 seconds"
	}
	if hint == "" || failed.Permanent {
		return fmt.Errorf("%s: %w", failed.Reason, err)
	}
	return fmt.Errorf("%s: %w\n  %s", failed.Reason, err, hint)
}
