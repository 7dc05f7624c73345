#!/usr/bin/env python3
"""Serves a video file by WHEP with aiortc, for tests of the WHEP player.

It shares no code with the player under test. /h264 and /vp8 serve the clip in
that format, in a loop, each player from its beginning; POST answers 201 with the
session's Location, DELETE on that ends it. /sessions counts players. The port is
printed when it is ready. Credentials, if given, are asked for.
usage: whep_serve.py FILE [--token TOKEN] [--user NAME:PASSWORD] [--cert PEM --key PEM]
"""
import argparse
import asyncio
import base64
import ssl
import sys
import uuid

from aiohttp import web
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.contrib.media import MediaPlayer


class Server:
    def __init__(self, args):
        self.args, self.sessions = args, {}

    def authorized(self, request):
        shown = request.headers.get("Authorization")
        if self.args.token:
            return shown == f"Bearer {self.args.token}"
        if self.args.user:
            return shown == "Basic " + base64.b64encode(self.args.user.encode()).decode()
        return True

    async def play(self, request):
        if not self.authorized(request):
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        codec = "video/" + request.match_info["codec"]
        codecs = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType.lower() == codec]
        if not codecs:
            return web.Response(status=404)
        peer, player = RTCPeerConnection(), MediaPlayer(self.args.file, loop=True)
        peer.addTransceiver(player.video, direction="sendonly").setCodecPreferences(codecs)
        await peer.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        name = uuid.uuid4().hex
        self.sessions[name] = (peer, player)
        where = f"{request.path}/{name}"
        return web.Response(status=201, text=peer.localDescription.sdp, content_type="application/sdp", headers={"Location": where})

    async def leave(self, request):
        if not self.authorized(request):
            return web.Response(status=401)
        peer, player = self.sessions.pop(request.match_info["session"], (None, None))
        if peer is None:
            return web.Response(status=404)
        player.video.stop()
        await peer.close()
        return web.Response()

    async def count(self, _):
        return web.Response(text=str(len(self.sessions)))


async def serve(args):
    server, app = Server(args), web.Application()
    app.router.add_get("/sessions", server.count)
    app.router.add_post("/{codec}", server.play)
    app.router.add_delete("/{codec}/{session}", server.leave)
    secure = None
    if args.cert:
        secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        secure.load_cert_chain(args.cert, args.key)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=secure)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the test closes it
    for peer, _ in server.sessions.values():
        await peer.close()
    await runner.cleanup()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--token")
    parser.add_argument("--user")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    asyncio.run(serve(parser.parse_args()))


main()
