package rtsp

import (
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/headers"
	"github.com/bluenviron/gortsplib/v4/pkg/mikey"

	"sightline/ingest/rtp"
)

// dated makes a message with a key for SRTP (MIKEY, RFC 3830) one of now. The
// library takes none whose time is an hour off, to stop old ones from being sent
// again; but messages come over TLS, which stops that, and cameras come with
// clocks that were never set. The message is not signed.
func dated(message *mikey.Message) {
	for _, payload := range message.Payloads {
		if stamp, is := payload.(*mikey.PayloadT); is {
			stamp.TSValue = rtp.ToNTP(time.Now())
		}
	}
}

// dateHeader does so with the header of an answer to SETUP.
func dateHeader(response *base.Response) {
	var key headers.KeyMgmt
	value, there := response.Header["KeyMgmt"]
	if !there || key.Unmarshal(value) != nil {
		return // the library will say what is wrong
	}
	dated(key.MikeyMessage)
	if text, err := key.Marshal(); err == nil {
		response.Header["KeyMgmt"] = text
	}
}
