package libav

// #include <errno.h>
// #include <libavutil/error.h>
import "C"

import (
	"fmt"
	"io"
	"syscall"
)

// Error is a failure reported by FFmpeg.
type Error int

// Failures that callers tell apart.
const (
	ErrInvalidData Error = C.AVERROR_INVALIDDATA
	ErrNoDecoder   Error = C.AVERROR_DECODER_NOT_FOUND
	ErrNoDevice    Error = -C.ENODEV
	ErrNoMemory    Error = -C.ENOMEM
	errInterrupted Error = C.AVERROR_EXIT
	errEOF         Error = C.AVERROR_EOF
)

// Error is FFmpeg's text for the code.
func (e Error) Error() string {
	var text [128]C.char
	if C.av_strerror(C.int(e), &text[0], C.size_t(len(text))) < 0 {
		return fmt.Sprintf("ffmpeg error %d", int(e))
	}
	return C.GoString(&text[0])
}

// Is tells whether the failure is one of the system's calls, a syscall.Errno.
func (e Error) Is(target error) bool {
	n, ok := target.(syscall.Errno)
	return ok && int(e) == -int(n)
}

// check turns FFmpeg's return code into an error: nil when it is not negative,
// io.EOF at the end of data.
func check(code C.int) error {
	switch e := Error(code); {
	case code >= 0:
		return nil
	case e == errEOF:
		return io.EOF
	default:
		return e
	}
}
