package camera

import (
	"slices"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
	"github.com/pion/rtcp"
)

// readyWait is how long a viewer waits for the first picture of a stream, which
// tells what the stream is.
const readyWait = 5 * time.Second

// keyframesOnDemand says that viewers may ask by PLI and FIR (RFC 4585, RFC 5104).
const keyframesOnDemand = "a=rtcp-fb:* nack pli\r\na=rtcp-fb:* ccm fir\r\n"

// handler answers the RTSP library's questions.
type handler struct{ *Server }

func (h handler) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	ctx.Conn.SetUserData(h.feed(ctx.Path)) // for OnResponse
	return h.stream(ctx.Conn, ctx.Request, ctx.Path)
}

func (h handler) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return h.stream(ctx.Conn, ctx.Request, ctx.Path)
}

func (h handler) OnPlay(ctx *gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	if f := h.feed(ctx.Path); f != nil {
		f.reportDue.Store(true)
		if f.onDemand != nil {
			ctx.Session.OnPacketRTCPAny(func(_ *description.Media, packet rtcp.Packet) { f.asked(packet) })
		}
	}
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnResponse tells in descriptions whether viewers may ask for keyframes. The
// library's descriptions have one section, the video's, at their end.
func (h handler) OnResponse(conn *gortsplib.ServerConn, response *base.Response) {
	if f, _ := conn.UserData().(*feed); f == nil || f.onDemand == nil {
		return
	}
	if len(response.Body) > 0 && slices.Equal(response.Header["Content-Type"], base.HeaderValue{"application/sdp"}) {
		response.Body = append(response.Body, keyframesOnDemand...)
	}
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
