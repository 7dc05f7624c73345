#!/usr/bin/env python3
"""Publishes a video file by WHIP with aiortc, for tests of the WHIP endpoint.

It shares no code with the endpoint under test. It prints one line of JSON: the
HTTP status of the offer, the states of the connection, what was sent, and the
status of the DELETE at the end.
"""
import argparse
import asyncio
import json
import sys
import urllib.parse

import aiohttp
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.contrib.media import MediaPlayer


def headers(token):
    return {"Authorization": f"Bearer {token}"} if token else {}


async def offer(http, args, peer):
    """Offers one codec and takes the answer; returns the status and the session's URL."""
    wanted = f"video/{args.codec}".lower()
    codecs = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType.lower() == wanted]
    peer.getTransceivers()[0].setCodecPreferences(codecs)
    await peer.setLocalDescription(await peer.createOffer())
    head = headers(args.token) | {"Content-Type": "application/sdp"}
    async with http.post(args.url, data=peer.localDescription.sdp, headers=head) as response:
        body = await response.text()
        if response.status == 201:
            await peer.setRemoteDescription(RTCSessionDescription(body, "answer"))
        return response.status, urllib.parse.urljoin(args.url, response.headers.get("Location", ""))


async def sent(peer):
    """How many RTP packets of video went out."""
    for report in (await peer.getStats()).values():
        if report.type == "outbound-rtp" and report.kind == "video":
            return report.packetsSent
    return 0


async def publish(args):
    result = {"states": []}
    peer = RTCPeerConnection()
    settled, closed = asyncio.Event(), asyncio.Event()

    @peer.on("connectionstatechange")
    def changed():
        result["states"].append(peer.connectionState)
        if peer.connectionState != "connecting":
            settled.set()
        if peer.connectionState == "closed":
            closed.set()

    peer.addTransceiver(MediaPlayer(args.file, loop=True).video, direction="sendonly")
    async with aiohttp.ClientSession() as http:
        result["status"], session = await offer(http, args, peer)
        if result["status"] == 201:
            await asyncio.wait_for(settled.wait(), 15)
            print("connected", file=sys.stderr, flush=True)
            try:
                await asyncio.wait_for(closed.wait(), args.seconds)
            except asyncio.TimeoutError:
                pass
            result["packets"] = await sent(peer)
            if not args.keep:
                async with http.delete(session, headers=headers(args.token)) as response:
                    result["deleted"] = response.status
    await peer.close()
    print(json.dumps(result), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("file")
    parser.add_argument("--codec", choices=["h264", "vp8"], default="h264")
    parser.add_argument("--token")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--keep", action="store_true", help="leave without DELETE")
    asyncio.run(publish(parser.parse_args()))


main()
