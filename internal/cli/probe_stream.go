package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"sightline/decode"
	"sightline/ingest"
	"sightline/pipelines"
	"sightline/pipelines/spec"
)

var (
	errSeenEnough = errors.New("seen enough")
	errNothing    = errors.New("nothing came")
)

// keyframePatience is how much longer than for its first byte a stream is waited
// for: some cameras send a keyframe every 20 s only.
const keyframePatience = 35 * time.Second

// stream looks at one stream and prints what was found.
func (p *probing) stream(ctx context.Context, sh *shell) error {
	st, err := p.spec()
	if err != nil {
		return err
	}
	found, err := p.measure(ctx, sh, st)
	err = cleaned(err, st)
	if found == nil || found.packets == 0 {
		return p.explain(err)
	}
	r := found.report(st)
	if err != nil {
		r.Ended = &ending{string(ingest.ReasonOf(err)), err.Error()}
	}
	r.YAML = p.yaml(st)
	return r.print(sh, p.asJSON)
}

// cleaned is a source's error without the stream's secrets: a peer may repeat what
// it was asked.
func cleaned(err error, st *spec.Stream) error {
	var failed *ingest.Error
	if !errors.As(err, &failed) {
		return err
	}
	return &ingest.Error{Reason: failed.Reason, Permanent: failed.Permanent, Err: errors.New(st.Clean(err.Error()))}
}

// spec is the stream as a pipeline would have it.
func (p *probing) spec() (*spec.Stream, error) {
	address := p.address
	if info, err := os.Stat(address); err == nil && info.IsDir() {
		address = "images:" + address
	}
	name := streamName(address, map[string]bool{})
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: probe\nweb: {}\nstreams:\n  %s:\n    url: '%s'\n", name, yamlQuoted(address))
	if p.username != "" {
		fmt.Fprintf(&b, "    username: '%s'\n", yamlQuoted(p.username))
	}
	if p.password != "" {
		fmt.Fprintf(&b, "    password: '%s'\n", yamlQuoted(p.password))
	}
	if p.insecure {
		b.WriteString("    tls: { insecure: true }\n")
	}
	sp, err := spec.Parse("probe.yaml", []byte(b.String()), nil, func(string) (string, bool) { return "", false })
	var mistakes spec.Diagnostics
	if errors.As(err, &mistakes) && len(mistakes) > 0 { // the place in a file that nobody wrote helps nobody
		return nil, errors.New(mistakes[0].Message)
	}
	if err != nil {
		return nil, err
	}
	st := &sp.Streams[0]
	st.Timeout = p.timeout
	if !st.Kind.Live() {
		st.Pace = "fastest"
	}
	if st.Kind == spec.File || st.Kind == spec.Images {
		st.Path, err = filepath.Abs(st.Path)
	}
	return st, err
}

// measure reads and decodes the stream. With an error it returns what came before.
func (p *probing) measure(ctx context.Context, sh *shell, st *spec.Stream) (*measured, error) {
	notes := &notes{Handler: sh.log.Handler()}
	source, err := pipelines.NewSource(st, slog.New(notes))
	if err != nil {
		return nil, err
	}
	config := decode.Defaults()
	config.Live = st.Kind.Live()
	decoder, err := decode.New(config)
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	bar := sh.progress(0, "waiting for "+st.SafeURL())
	defer bar.Finish()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	end := time.AfterFunc(p.timeout+keyframePatience, func() { cancel(errNothing) })
	defer end.Stop()
	m := &measured{began: time.Now(), reports: st.Kind == spec.RTSP}
	err = source.Run(ctx, func(packet ingest.Packet) error {
		if m.packets == 0 {
			bar.Describe("reading")
			end.Reset(p.length + time.Second) // where time stamps do not tell
		}
		bar.Add(1)
		m.packet(packet)
		m.decode(decoder, packet)
		if m.enough(p.length) {
			return errSeenEnough
		}
		return nil
	})
	m.finish(decoder)
	m.transport = notes.transport
	switch {
	case err == errSeenEnough, context.Cause(ctx) == errNothing && m.packets > 0:
		return m, nil
	case context.Cause(ctx) == errNothing:
		return m, &ingest.Error{Reason: ingest.ReasonTimeout, Err: fmt.Errorf("%s: no picture that decoding can start with within %v", st.SafeURL(), p.timeout+keyframePatience)}
	case err == nil && m.packets == 0:
		return m, &ingest.Error{Reason: ingest.ReasonEnded, Err: fmt.Errorf("%s: ended without a picture", st.SafeURL())}
	}
	return m, err
}

// decode decodes one packet and notes what that costs.
func (m *measured) decode(d decode.Decoder, p ingest.Packet) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := pipelines.ThreadTime()
	err := d.Decode(p, m.frame)
	m.cpu += pipelines.ThreadTime() - before
	if err != nil {
		m.undecoded++
		m.decodeError = err
	}
}

// finish takes what the decoder holds back.
func (m *measured) finish(d decode.Decoder) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := pipelines.ThreadTime()
	if err := d.Flush(m.frame); err != nil {
		m.decodeError = err
	}
	m.cpu += pipelines.ThreadTime() - before
}

func (m *measured) frame(f *decode.Frame) error {
	m.frames++
	m.width, m.height = f.Width, f.Height
	if f.Damaged {
		m.damaged++
	}
	f.Release()
	return nil
}

// notes is a log handler that passes on warnings and remembers over what a source
// says it is connected.
type notes struct {
	slog.Handler
	transport string
}

// Enabled implements slog.Handler.
func (n *notes) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements slog.Handler. Sources log while they run, from one goroutine.
func (n *notes) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "transport" {
			n.transport = a.Value.String()
		}
		return true
	})
	if r.Level < slog.LevelWarn {
		return nil
	}
	return n.Handler.Handle(ctx, r)
}
