// Publishes a fake camera to the stream "lobby", in one codec after the other (CODEC/N
// offers N sizes), from a page of another origin. Each takes over from the one before, once the stream
// shows 10 more packets in that codec. Prints what the stream was then as JSON.
// usage: codecs.mjs CHROMIUM DEPS URL CAMERA.y4m TOKEN CODEC…
import { readFile } from 'node:fs/promises';
import { open, until } from './browser.mjs';

const [path, deps, url, camera, token, ...codecs] = process.argv.slice(2);
const browser = await open(path, deps, ['--disable-features=LocalNetworkAccessChecks', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', `--use-file-for-fake-video-capture=${camera}`]);
const elsewhere = 'http://localhost:9';
const at = new URL(url);
const stream = async () => (await fetch(`${at.origin}/api/v1/streams/lobby`, { headers: { Authorization: `Basic ${btoa(`${at.username}:${at.password}`)}` } })).json();

const seen = [];
let last = '';
for (const name of codecs) {
  const [codec, sizes] = name.split('/');
  const page = await browser.newPage();
  await page.route('**/publish.html', async (route) => route.fulfill({ contentType: 'text/html', body: await readFile(new URL('publish.html', import.meta.url)) }));
  await page.goto(`${elsewhere}/publish.html`);
  const status = await page.evaluate(([u, t, c, n]) => publish(u, t, c, n), [`${at.origin}/whip/lobby`, token, codec, Number(sizes ?? 1)]);
  if (status !== 201) {
    seen.push({ codec, status });
    continue;
  }
  const there = await until(25, async () => { const s = await stream(); return s.state === 'online' && s.epoch !== last && s.packets > 10 && s; });
  last = there?.epoch ?? last;
  seen.push({ codec, status, as: there?.codec, epoch: there?.epoch, width: there?.width });
}
await browser.close();
console.log(JSON.stringify(seen));
