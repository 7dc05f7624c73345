// Player shows one stream: by WHEP with the camera's own packets, or, where the
// browser cannot decode the codec, as JPEGs asked for one by one.
export class Player {
  constructor(stream, video, overlay, notice) {
    Object.assign(this, { stream, video, overlay, notice });
    this.path = `whep/${encodeURIComponent(stream)}`;
    addEventListener('pagehide', () => this.close());
  }

  async start() {
    for (let pause = 500; ; pause = Math.min(pause * 2, 8000)) {
      try {
        await this.connect();
        pause = 500;
      } catch (e) {
        if (e.pictures) {
          this.notice('still pictures: this browser cannot play the stream’s codec');
          await this.pictures();
        }
        this.notice(e.message);
      } finally {
        this.close();
      }
      await new Promise((r) => setTimeout(r, pause));
    }
  }

  // connect plays until the connection ends.
  async connect() {
    const peer = this.peer = new RTCPeerConnection();
    const receiver = peer.addTransceiver('video', { direction: 'recvonly' }).receiver;
    // Boxes arrive a little after their picture: hold pictures back until then.
    if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 300;
    const stream = new MediaStream([receiver.track]);
    await peer.setLocalDescription();
    const answer = await fetch(this.path, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: peer.localDescription.sdp });
    if (!answer.ok) {
      const e = new Error((await answer.text()).trim());
      e.pictures = answer.status === 406;
      throw e;
    }
    this.session = answer.headers.get('Location');
    await peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
    this.video.srcObject = stream;
    this.notice('');
    this.watch(peer);
    await new Promise((resolve) => {
      peer.addEventListener('connectionstatechange', () => {
        if (['failed', 'closed', 'disconnected'].includes(peer.connectionState)) resolve();
      });
    });
  }

  // watch draws over each picture as it is shown, by the picture's own time stamp.
  watch(peer) {
    const each = (_, frame) => {
      if (this.peer !== peer) return;
      this.overlay.draw(frame.rtpTimestamp);
      this.video.requestVideoFrameCallback(each);
    };
    this.video.requestVideoFrameCallback(each);
  }

  async pictures() {
    const url = `api/v1/streams/${encodeURIComponent(this.stream)}/frame.jpg`;
    for (;;) {
      const r = await fetch(url);
      if (!r.ok) throw new Error((await r.text()).trim());
      const image = await createImageBitmap(await r.blob());
      this.overlay.picture(image, r.headers.get('Sightline-Time'));
    }
  }

  close() {
    this.peer?.close();
    this.peer = null;
    if (this.session) fetch(this.session, { method: 'DELETE', keepalive: true }).catch(() => {});
    this.session = null;
  }
}
