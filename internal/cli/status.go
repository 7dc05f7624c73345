package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sightline/ingest"
	"sightline/pipelines"
)

func newStatus(sh *shell) *cobra.Command {
	var server, user string
	var asJSON bool
	c := &cobra.Command{
		Use:   "status [STREAM]",
		Short: "Ask a running instance how its streams and sinks are doing",
		Long: "Status asks the page's server of a running instance (its file has web:) and prints for each stream what\n" +
			"became of everything received: decoded or not, inferred or not, and why; and for each sink what was delivered.\n" +
			"The password of --user is read from SIGHTLINE_PASSWORD, a token from SIGHTLINE_TOKEN.",
		Example: "  sightline status\n  sightline status gate\n  sightline status --server http://10.0.0.9:8080 --user viewer --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := query{server: strings.TrimRight(server, "/"), user: user}
			q.password, _ = sh.env("SIGHTLINE_PASSWORD")
			q.token, _ = sh.env("SIGHTLINE_TOKEN")
			return printStatus(cmd.Context(), sh, q, args, asJSON)
		},
	}
	c.Flags().StringVar(&server, "server", "http://127.0.0.1:8080", "`URL` of the instance's page")
	c.Flags().StringVar(&user, "user", "", "`NAME` to log in with")
	c.Flags().BoolVar(&asJSON, "json", false, "print {streams, sinks, devices} as JSON")
	return c
}

// query asks a running instance.
type query struct{ server, user, password, token string }

func (q query) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, q.server+path, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", q.server, err)
	}
	switch {
	case q.token != "":
		r.Header.Set("Authorization", "Bearer "+q.token)
	case q.user != "":
		r.SetBasicAuth(q.user, q.password)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("no instance answers at %s (a running one needs web: in its file; --server names another address): %w", q.server, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fmt.Errorf("%s%s: %s: %s", q.server, path, resp.Status, strings.TrimSpace(string(text)))
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("%s%s does not answer as Sightline does: %w", q.server, path, err)
	}
	return nil
}

func printStatus(ctx context.Context, sh *shell, q query, args []string, asJSON bool) error {
	var all struct {
		Streams []pipelines.StreamStatus `json:"streams"`
		Sinks   []pipelines.SinkStatus   `json:"sinks"`
		Devices []pipelines.DeviceStatus `json:"devices"`
	}
	if err := q.get(ctx, "/api/v1/streams", &all.Streams); err != nil {
		return err
	}
	if err := q.get(ctx, "/api/v1/sinks", &all.Sinks); err != nil {
		return err
	}
	if err := q.get(ctx, "/api/v1/devices", &all.Devices); err != nil {
		return err
	}
	if len(args) > 0 {
		all.Streams = slices.DeleteFunc(all.Streams, func(s pipelines.StreamStatus) bool { return s.Name != args[0] })
		if len(all.Streams) == 0 {
			return fmt.Errorf("no stream %q at %s", args[0], q.server)
		}
	}
	if asJSON {
		return json.NewEncoder(sh.out).Encode(all)
	}
	for _, s := range all.Streams {
		printStream(sh.out, s)
	}
	for _, s := range all.Sinks {
		printSink(sh.out, s)
	}
	for _, d := range all.Devices {
		printDevice(sh.out, d)
	}
	return nil
}

func printDevice(w io.Writer, d pipelines.DeviceStatus) {
	fmt.Fprintf(w, "%s (%s): %s since %s, %s, %d of %d MiB free; lost %d times\n", d.Device, d.Name, d.State,
		d.Since.Format(time.RFC3339), count(d.Streams, "stream"), d.Free>>20, d.Total>>20, d.Losses)
	if d.Graphs > 0 {
		fmt.Fprintf(w, "  %s\n", count(d.Graphs, "CUDA graph"))
	}
	if d.Error != "" {
		fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(d.Error, "\n", "; "))
	}
}

func printSink(w io.Writer, s pipelines.SinkStatus) {
	fmt.Fprintf(w, "sink %s (%s): %s", s.Name, s.Kind, s.State)
	if len(s.Troubles) > 0 {
		fmt.Fprintf(w, ", %s: %s", strings.Join(s.Troubles, ", "), strings.ReplaceAll(s.Error, "\n", "; "))
	}
	fmt.Fprintln(w)
	l := s.Ledger
	fmt.Fprintf(w, "  made %d, filtered %d, acknowledged %d, waiting %d, dead-lettered %d, expired %d, dropped: %s\n",
		l.Made, l.Filtered, l.Acknowledged, l.Spooled, l.DeadLettered, l.Expired, counts(l.Dropped))
	if l.Recovered > 0 {
		fmt.Fprintf(w, "  of those made, an earlier run left %d in the spool\n", l.Recovered)
	}
	if s.Events > 0 {
		fmt.Fprintf(w, "  %d events wait (%d bytes), the oldest for %.0f s; %d keys are held back\n", s.Events, s.Bytes, s.OldestS, s.HeldKeys)
	}
	if sp := s.Spool; sp != nil {
		state := "ok"
		if !sp.OK {
			state = "FAILING"
		}
		fmt.Fprintf(w, "  spool %s: %s, %d bytes on disk, %d events not on disk yet\n", sp.Path, state, sp.Disk, sp.Unsynced)
	}
	if s.DeadLetters > 0 {
		fmt.Fprintf(w, "  %d dead letters in %s\n", s.DeadLetters, cmp.Or(s.DeadLetter, "no file: add dead_letter to keep them"))
	}
}

func printStream(w io.Writer, s pipelines.StreamStatus) {
	fmt.Fprintf(w, "stream %s (%s): %s", s.Name, s.Kind, s.State)
	if s.Reason != nil {
		fmt.Fprintf(w, ": %s %s", s.Reason.Code, s.Reason.Message)
	}
	fmt.Fprintln(w)
	fmt.Fprintf(w, "  from %s\n", inputText(s.Input))
	if v := s.View; v != nil {
		fmt.Fprintf(w, "  shown from %s: %s", inputText(v.Input), v.State)
		if v.Reason != nil && v.State == "offline" {
			fmt.Fprintf(w, ": %s %s", v.Reason.Code, v.Reason.Message)
		}
		fmt.Fprintln(w)
	}
	if s.Codec != "" {
		fmt.Fprintf(w, "  %s\n", pictureText(s))
	}
	if c := s.Clock; c != nil {
		fmt.Fprintf(w, "  clock %s%s\n", c.Source, clockText(*c))
	}
	if n := s.Input.Losses; n != nil && *n != (ingest.Losses{}) {
		fmt.Fprintf(w, "  packets lost %d, late %d, repeated %d, malformed %d; the sender began anew %d times\n",
			n.Lost, n.Late, n.Repeated, n.Malformed, n.Restarts)
	}
	if s.LastFrame != nil {
		fmt.Fprintf(w, "  last frame of %s\n", s.LastFrame.Format(time.RFC3339Nano))
	}
	if len(s.Degraded) > 0 {
		fmt.Fprintf(w, "  not well: %s\n", strings.Join(s.Degraded, ", "))
	}
	printOptimized(w, s.Optimized)
	l := s.Ledger
	fmt.Fprintf(w, "  received %d, decoded %d, waiting %d, not decoded: %s\n", l.Received, l.Decoded, l.InDecoder, counts(l.Undecoded))
	fmt.Fprintf(w, "  decoding took %.1f s of processor time; damage cost %.1f s of the stream\n", s.DecodeSeconds, s.LostSeconds)
	fmt.Fprintf(w, "  inferred %d, under way %d, not inferred: %s\n", l.Inferred, l.InFlight, counts(l.Skipped))
}

func inputText(in pipelines.InputStatus) string {
	if in.Index > 0 {
		return fmt.Sprintf("%s (fallback %d)", in.URL, in.Index)
	}
	return in.URL
}

// pictureText says what comes, what decodes it and what looks at it, as far as
// that is so.
func pictureText(s pipelines.StreamStatus) string {
	text := s.Codec
	if s.Width > 0 {
		text += fmt.Sprintf(" %d×%d", s.Width, s.Height)
	}
	if s.Decoder.Device != "" {
		text += ", decoded on " + s.Decoder.Device
	}
	if s.Decoder.Note != "" {
		text += ", decoded on the processor (" + s.Decoder.Note
		if n := s.Decoder.Retries; n > 0 {
			text += fmt.Sprintf("; the device was tried again %d times", n)
		}
		text += ")"
	}
	if s.Model.Name == "" {
		return text + ", nothing is detected"
	}
	return fmt.Sprintf("%s, %s on %s %s", text, s.Model.Name, s.Model.Engine, s.Model.Precision)
}

// clockText is what is known of a clock; 0 is unknown.
func clockText(c pipelines.ClockStatus) (text string) {
	if c.OffsetMs != 0 {
		text += fmt.Sprintf(", offset %.1f ms", c.OffsetMs)
	}
	if c.UncertaintyMs != 0 {
		text += fmt.Sprintf(", within %.1f ms", c.UncertaintyMs)
	}
	if c.DriftPPM != 0 {
		text += fmt.Sprintf(", drift %.1f ppm", c.DriftPPM)
	}
	return text
}
