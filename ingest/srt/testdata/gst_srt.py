#!/usr/bin/python3
"""An SRT sender by GStreamer, for tests of the SRT source.

Run with Debian's own /usr/bin/python3. Needs python3-gi and
gstreamer1.0-plugins-{base,good,bad,ugly}. It prints its address and sends to
every caller (or to the listener on the port given) until standard input closes:
a moving ball, 25 pictures a second, one keyframe a second, and a tone.
"""
import argparse
import socket
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst

ENCODERS = {
    "h264": "x264enc speed-preset=ultrafast key-int-max=25 bframes={bframes} tune={tune} ! video/x-h264,profile=main ! h264parse",
    "h265": "x265enc speed-preset=ultrafast key-int-max=25 tune=zerolatency ! h265parse",
}


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codec", choices=sorted(ENCODERS), default="h264")
    parser.add_argument("--bframes", type=int, default=0)
    parser.add_argument("--passphrase", default="")
    parser.add_argument("--call", type=int, default=0, help="port of a listener")
    args = parser.parse_args()

    Gst.init(None)
    port = args.call or free_port()
    secret = f" passphrase={args.passphrase} pbkeylen=16" if args.passphrase else ""
    encoder = ENCODERS[args.codec].format(bframes=args.bframes, tune="0" if args.bframes else "zerolatency")
    pipeline = Gst.parse_launch(
        "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=25/1"
        f" ! {encoder} config-interval=-1 ! mpegtsmux name=mux alignment=7"
        f' ! srtsink uri="srt://127.0.0.1:{port}?mode={"caller" if args.call else "listener"}" latency=100 wait-for-connection=false{secret}'
        " audiotestsrc is-live=true ! voaacenc ! aacparse ! mux.")
    loop = GLib.MainLoop()
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", lambda _, message: (print(message.parse_error().gerror.message, file=sys.stderr), loop.quit()))
    pipeline.set_state(Gst.State.PLAYING)
    pipeline.get_state(5 * Gst.SECOND)
    print(f"srt://127.0.0.1:{port}", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()
    pipeline.set_state(Gst.State.NULL)


main()
