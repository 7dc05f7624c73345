package ingest

import (
	"context"
	"errors"
	"fmt"
)

// Source reads one stream.
type Source interface {
	// Run reads the stream until it ends (nil), fails (error) or ctx ends
	// (ctx.Err()). It calls emit from one goroutine at a time, in decoding
	// order, and returns emit's error as it is if emit fails. It blocks while
	// emit blocks. It leaves no goroutine, socket or file behind. Run may be
	// called again after it returned; each call starts a new epoch.
	Run(ctx context.Context, emit func(Packet) error) error
}

// KeyframeRequester is a Source that can ask its peer for a keyframe.
// RequestKeyframe does not block and is safe to call from any goroutine; it does
// nothing while the stream is not running.
type KeyframeRequester interface{ RequestKeyframe() }

// Reason is why a stream is not delivering, as events name it.
type Reason string

// Reasons a source may give.
const (
	ReasonRefused          Reason = "refused"
	ReasonTimeout          Reason = "timeout"
	ReasonUnauthorized     Reason = "unauthorized"
	ReasonUntrusted        Reason = "untrusted" // the peer's certificate is not one we trust
	ReasonNotFound         Reason = "not_found"
	ReasonUnsupportedCodec Reason = "unsupported_codec"
	ReasonEnded            Reason = "ended"
	ReasonDamaged          Reason = "damaged"
	ReasonNoKeyframe       Reason = "no_keyframe"
	ReasonFailed           Reason = "failed" // anything else
)

// Error is a source's failure with the reason users see. Its text never holds
// a secret.
type Error struct {
	Reason    Reason
	Permanent bool // trying again cannot help (a missing file, an unknown codec in a file)
	Err       error
}

func (e *Error) Error() string { return fmt.Sprintf("%v", e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// ReasonOf returns the reason inside err, ReasonEnded for nil and ReasonFailed
// for an error that carries none.
func ReasonOf(err error) Reason {
	if err == nil {
		return ReasonEnded
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ReasonFailed
}
