#!/usr/bin/python3
"""A camera by GStreamer's RTSP server, for tests of the RTSP source.

Run with Debian's own /usr/bin/python3. Needs python3-gi, gir1.2-gst-rtsp-server-1.0,
gstreamer1.0-plugins-{base,good,bad,ugly} and, for --tls, glib-networking. It
prints its URL, serves until standard input closes, and shows a moving ball, 25
pictures a second, one keyframe a second.
"""
import argparse
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer

ENCODERS = {
    "h264": "x264enc speed-preset=ultrafast key-int-max={gop} bframes={bframes} tune={tune} ! video/x-h264,profile=main ! rtph264pay",
    "h265": "x265enc speed-preset=ultrafast key-int-max={gop} tune=zerolatency ! rtph265pay",
    "vp8": "vp8enc deadline=1 keyframe-max-dist={gop} ! rtpvp8pay",
    "vp9": "vp9enc deadline=1 cpu-used=8 keyframe-max-dist={gop} ! rtpvp9pay",
    "mjpeg": "jpegenc ! rtpjpegpay",
}
SOUND = "audiotestsrc is-live=true ! audio/x-raw,rate=8000 ! alawenc ! rtppcmapay name=pay1 pt=8"


def let_in(factory, auth, method, user, password):
    """Lets only user in, by Basic or Digest."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", user)
    if method == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    allow(factory, user)


def let_all_in(factory, auth):
    """Lets viewers in who name no user, which a server with TLS does not by itself."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "anybody")
    auth.set_default_token(token)
    allow(factory, "anybody")


def allow(factory, role):
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role(role, "media.factory.access", True)
    permissions.add_permission_for_role(role, "media.factory.construct", True)
    factory.set_permissions(permissions)


def secure(factory, server, args):
    """Sets who may look on, and how the way is protected."""
    if args.auth == "none" and not args.tls:
        return
    auth = GstRtspServer.RTSPAuth()
    if args.auth == "none":
        let_all_in(factory, auth)
    else:
        let_in(factory, auth, args.auth, args.user, args.password)
    if args.tls:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(args.tls))
    server.set_auth(auth)
    if args.srtp:
        factory.set_profiles(GstRtsp.RTSPProfile.SAVP)


def forget_sessions(server, timeout):
    """Ends sessions of which nothing was heard for so many seconds."""
    def adopted(_, client):
        client.connect("new-session", lambda _, session: session.set_timeout(timeout))
    server.connect("client-connected", adopted)
    GLib.timeout_add(500, lambda: server.get_session_pool().cleanup() >= 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codec", choices=sorted(ENCODERS), default="h264")
    parser.add_argument("--bframes", type=int, default=0)
    parser.add_argument("--auth", choices=["none", "basic", "digest"], default="none")
    parser.add_argument("--user", default="viewer")
    parser.add_argument("--password", default="secret")
    parser.add_argument("--udp-only", action="store_true")
    parser.add_argument("--tls", metavar="PEM", help="a file of certificate and key")
    parser.add_argument("--srtp", action="store_true", help="with --tls: offer RTP/SAVP")
    parser.add_argument("--gop", type=int, default=25, help="pictures from one keyframe to the next")
    parser.add_argument("--sound", action="store_true", help="send sound besides")
    parser.add_argument("--pli", action="store_true", help="say that viewers may ask for keyframes")
    parser.add_argument("--session-timeout", type=int, default=0, metavar="SECONDS")
    args = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    encoder = ENCODERS[args.codec].format(gop=args.gop, bframes=args.bframes, tune="0" if args.bframes else "zerolatency")
    last = f"name=pay0 pt={26 if args.codec == 'mjpeg' else 96}"
    if args.pli:  # what stands last is described
        last = "pt=96 ! capsfilter name=pay0 caps=application/x-rtp,rtcp-fb-nack-pli=(boolean)true"
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( videotestsrc is-live=true pattern=ball"
        " ! video/x-raw,format=I420,width=320,height=240,framerate=25/1"
        f" ! {encoder} {last} {SOUND if args.sound else ''} )")
    if args.udp_only:
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    if args.session_timeout:
        forget_sessions(server, args.session_timeout)
    secure(factory, server, args)
    server.get_mount_points().add_factory("/ball", factory)
    server.attach(None)
    print(f"rtsp{'s' if args.tls else ''}://127.0.0.1:{server.get_bound_port()}/ball", flush=True)

    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


main()
