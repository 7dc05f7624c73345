// Package libav is a thin binding of FFmpeg's libraries (5.1 to 7.1): a demuxer
// for local files, a decoder, and a scaler that only changes pixel formats. It
// has one owner per native object, no C type in its exported names, and imports
// no other package of this module. Every object is used by one goroutine at a
// time; frames may be freed by any.
package libav

/*
#cgo pkg-config: libavformat libavcodec libavutil libswscale
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <libavutil/log.h>
#include <libswscale/swscale.h>
*/
import "C"

import (
	"fmt"
	"math"
)

// NoTime is a time stamp that is not known.
const NoTime = math.MinInt64

// quiet keeps FFmpeg from writing to standard error: what matters comes back as
// errors and flags. The level is FFmpeg's own process-wide setting.
func quiet() { C.av_log_set_level(C.AV_LOG_QUIET) }

// Version names the FFmpeg libraries that are loaded.
func Version() string {
	v := func(n C.uint) string { return fmt.Sprintf("%d.%d.%d", n>>16, n>>8&0xff, n&0xff) }
	return fmt.Sprintf("%s (avformat %s, avcodec %s, avutil %s, swscale %s)", C.GoString(C.av_version_info()),
		v(C.avformat_version()), v(C.avcodec_version()), v(C.avutil_version()), v(C.swscale_version()))
}
