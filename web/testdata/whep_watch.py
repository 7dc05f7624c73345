"""Watches a stream by WHEP with aiortc until FRAMES pictures came, deletes the
session twice, and prints what happened as one JSON object.
usage: whep_watch.py URL FRAMES"""
import asyncio
import json
import sys
from urllib.parse import urljoin

import aiohttp
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

PATIENCE = 20  # seconds


async def pictures(track, wanted, got):
    try:
        while got["frames"] < wanted:
            frame = await track.recv()
            got["frames"] += 1
            got["size"] = [frame.width, frame.height]
    except MediaStreamError:
        pass


async def main(url, wanted):
    got = {"frames": 0}
    peer = RTCPeerConnection()
    done = asyncio.Event()

    @peer.on("track")
    def on_track(track):
        task = asyncio.ensure_future(pictures(track, wanted, got))
        task.add_done_callback(lambda _: done.set())

    peer.addTransceiver("video", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    async with aiohttp.ClientSession() as http:
        offer = peer.localDescription.sdp
        async with http.post(url, data=offer, headers={"Content-Type": "application/sdp"}) as answer:
            got["status"] = answer.status
            body = await answer.text()
            where = answer.headers.get("Location")
        if got["status"] == 201:
            await peer.setRemoteDescription(RTCSessionDescription(body, "answer"))
            try:
                await asyncio.wait_for(done.wait(), PATIENCE)
            except asyncio.TimeoutError:
                pass
            for key in ("deleted", "again"):
                async with http.delete(urljoin(url, where)) as answer:
                    got[key] = answer.status
    await peer.close()
    print(json.dumps(got))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
