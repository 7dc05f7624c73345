// Player shows one stream: by WHEP with the camera's own packets, or, where the
// browser cannot play them, as JPEGs asked for one by one.
import { url } from './url.js';

const hold = 300; // ms: boxes arrive a little after their picture, so it waits
const stuck = 6000; // ms without a picture before the connection is made anew
const pictureEvery = 100; // ms

const pause = (ms) => new Promise((r) => setTimeout(r, ms));

export class Player {
  constructor(stream, video, still, overlay, notice) {
    Object.assign(this, { stream, video, still, overlay, notice, online: false, small: false, shown: 0 });
    this.path = encodeURIComponent(stream);
    addEventListener('pagehide', () => this.close());
  }

  // standIn shows pictures of the small stream while the large one is away.
  async standIn() {
    const wanted = () => this.online && this.small;
    for (;; await pause(500)) await this.pictures(wanted).catch(() => {});
  }

  // run plays for ever; while the stream is offline it waits.
  async run() {
    this.standIn();
    for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
      while (!this.online) await pause(200);
      const begun = performance.now();
      try {
        await this.connect();
      } catch (e) {
        this.notice(e.pictures ? `still pictures: ${e.message.replace(/:.*/, '')}` : e.message);
        if (e.pictures) await this.pictures(() => this.online).catch((why) => this.notice(why.message));
      }
      this.close();
      if (performance.now() - begun > 10000) wait = 500;
      await pause(wait);
    }
  }

  // connect plays until the connection ends or no picture comes any more.
  async connect() {
    const peer = this.peer = new RTCPeerConnection();
    const receiver = peer.addTransceiver('video', { direction: 'recvonly' }).receiver;
    if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = hold;
    await peer.setLocalDescription();
    const answer = await fetch(url(`whep/${this.path}`), { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: peer.localDescription.sdp });
    if (!answer.ok) throw await refusal(answer);
    this.session = url(answer.headers.get('Location'));
    await peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
    this.video.srcObject = new MediaStream([receiver.track]);
    this.video.play().catch(() => {}); // autoplay does it later
    this.watch(peer, receiver);
    this.shown = performance.now();
    // The video begins with the stream's next keyframe, which may be long in coming.
    this.playing = false;
    this.pictures(() => this.peer === peer && !this.playing).catch(() => {});
    const over = () => ['failed', 'closed', 'disconnected'].includes(peer.connectionState) || performance.now() - this.shown > stuck;
    while (this.online && !over()) await pause(250);
  }

  // watch draws over each picture as it is shown, by the picture's own time stamp.
  watch(peer, receiver) {
    const each = (_, frame) => {
      if (this.peer !== peer) return;
      this.shown = performance.now();
      this.playing = true;
      this.notice('');
      this.overlay.size(this.video.videoWidth, this.video.videoHeight);
      const at = frame.rtpTimestamp ?? receiver.getSynchronizationSources()[0]?.rtpTimestamp;
      if (at !== undefined) this.overlay.draw(at);
      this.video.requestVideoFrameCallback(each);
    };
    this.video.requestVideoFrameCallback(each);
  }

  // pictures shows JPEGs while they are wanted, or until one cannot be had.
  async pictures(wanted) {
    while (wanted()) {
      const begun = performance.now();
      const r = await fetch(url(`api/v1/streams/${this.path}/frame.jpg`));
      if (!r.ok) throw await refusal(r);
      const time = r.headers.get('Sightline-Time');
      const image = await createImageBitmap(await r.blob());
      setTimeout(() => {
        if (wanted()) {
          this.shown = performance.now();
          this.keep(image, image.width, image.height);
          this.overlay.drawTime(time);
        }
        image.close();
      }, hold);
      await pause(pictureEvery - (performance.now() - begun));
    }
  }

  // keep puts a picture behind the video, where it stays when the video ends.
  keep(picture, width, height) {
    Object.assign(this.still, { width, height });
    this.still.getContext('2d').drawImage(picture, 0, 0);
    this.overlay.size(width, height);
  }

  close() {
    if (this.video.videoWidth) this.keep(this.video, this.video.videoWidth, this.video.videoHeight);
    this.video.srcObject = null;
    this.peer?.close();
    this.peer = null;
    if (this.session) fetch(this.session, { method: 'DELETE', keepalive: true }).catch(() => {});
    this.session = null;
  }
}

async function refusal(response) {
  const e = new Error((await response.text()).trim());
  e.pictures = response.status === 406;
  return e;
}
