package camera

import (
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
)

// readyWait is how long a viewer waits for the first picture of a stream, which
// tells what the stream is.
const readyWait = 5 * time.Second

// handler answers the RTSP library's questions.
type handler struct{ *Server }

func (h handler) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return h.stream(ctx.Conn, ctx.Request, ctx.Path)
}

func (h handler) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return h.stream(ctx.Conn, ctx.Request, ctx.Path)
}

func (h handler) OnPlay(ctx *gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	if f := h.feed(ctx.Path); f != nil {
		f.reportDue.Store(true)
	}
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnStreamWriteError is called for each packet that a slow viewer loses; the
// viewer sees it as loss.
func (h handler) OnStreamWriteError(*gortsplib.ServerHandlerOnStreamWriteErrorCtx) {}

func (h handler) feed(path string) *feed { return h.feeds[strings.Trim(path, "/")] }

// stream checks who asks, and for what.
func (h handler) stream(conn *gortsplib.ServerConn, request *base.Request, path string) (*base.Response, *gortsplib.ServerStream, error) {
	if h.config.Username != "" && !conn.VerifyCredentials(request, h.config.Username, h.config.Password) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	f := h.feed(path)
	if f == nil {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	select {
	case <-f.ready:
		if f.stream != nil {
			return &base.Response{StatusCode: base.StatusOK}, f.stream, nil
		}
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	case <-time.After(readyWait):
		return &base.Response{StatusCode: base.StatusServiceUnavailable}, nil, nil
	}
}
