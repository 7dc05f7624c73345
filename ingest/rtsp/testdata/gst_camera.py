#!/usr/bin/python3
"""A camera by GStreamer's RTSP server, for tests of the RTSP source.

Run with Debian's own /usr/bin/python3. Needs python3-gi, gir1.2-gst-rtsp-server-1.0
and gstreamer1.0-plugins-{base,good,bad,ugly}. It prints its URL, serves until
standard input closes, and shows a moving ball, 25 pictures a second, one
keyframe a second.
"""
import argparse
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

ENCODERS = {
    "h264": "x264enc speed-preset=ultrafast key-int-max=25 bframes={bframes} tune={tune} ! video/x-h264,profile=main ! rtph264pay",
    "h265": "x265enc speed-preset=ultrafast key-int-max=25 tune=zerolatency ! rtph265pay",
    "vp8": "vp8enc deadline=1 keyframe-max-dist=25 ! rtpvp8pay",
    "vp9": "vp9enc deadline=1 cpu-used=8 keyframe-max-dist=25 ! rtpvp9pay",
    "mjpeg": "jpegenc ! rtpjpegpay",
}


def credentials(factory, server, method, user, password):
    """Lets only user in, by Basic or Digest."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", user)
    auth = GstRtspServer.RTSPAuth()
    if method == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role(user, "media.factory.access", True)
    permissions.add_permission_for_role(user, "media.factory.construct", True)
    factory.set_permissions(permissions)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codec", choices=sorted(ENCODERS), default="h264")
    parser.add_argument("--bframes", type=int, default=0)
    parser.add_argument("--auth", choices=["none", "basic", "digest"], default="none")
    parser.add_argument("--user", default="viewer")
    parser.add_argument("--password", default="secret")
    parser.add_argument("--udp-only", action="store_true")
    args = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    encoder = ENCODERS[args.codec].format(bframes=args.bframes, tune="0" if args.bframes else "zerolatency")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( videotestsrc is-live=true pattern=ball"
        " ! video/x-raw,format=I420,width=320,height=240,framerate=25/1"
        f" ! {encoder} name=pay0 pt={26 if args.codec == 'mjpeg' else 96} )")
    if args.udp_only:
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    if args.auth != "none":
        credentials(factory, server, args.auth, args.user, args.password)
    server.get_mount_points().add_factory("/ball", factory)
    server.attach(None)
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/ball", flush=True)

    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


main()
