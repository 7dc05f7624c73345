// Publishes a fake camera to the stream "lobby", in three sizes, while the page
// is watched, and prints what happened as JSON.
// usage: publish.mjs CHROMIUM DEPS URL CAMERA.y4m TOKEN
import { readFile } from 'node:fs/promises';
import { open, complaints, until } from './browser.mjs';

const [path, deps, url, camera, token] = process.argv.slice(2);
const browser = await open(path, deps, ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', `--use-file-for-fake-video-capture=${camera}`]);
const watcher = await browser.newPage({ viewport: { width: 800, height: 900 } });
const errors = complaints(watcher);
await watcher.goto(url);
await watcher.waitForSelector('#stream-lobby');
const tile = () => watcher.evaluate(() => {
  const tile = document.querySelector('#stream-lobby');
  const video = tile.querySelector('video');
  const overlay = tile.querySelector('.overlay');
  const box = tile.querySelector('.picture').getBoundingClientRect();
  return {
    width: video.videoWidth, time: video.currentTime, still: tile.querySelector('.still').width, notice: tile.querySelector('.notice').textContent,
    boxes: JSON.parse(overlay.dataset.boxes ?? '[]'), shape: box.width / box.height, state: tile.querySelector('.state').textContent,
  };
});
const before = await until(10, async () => { const t = await tile(); return /waiting for a publisher/.test(t.notice) && t; });

const page = await browser.newPage();
await page.route('**/publish.html', async (route) => route.fulfill({ contentType: 'text/html', body: await readFile(new URL('publish.html', import.meta.url)) }));
await page.goto(`${new URL(url).origin}/publish.html`);
const wrong = await page.evaluate(([u, t]) => publish(u, t), ['/whip/lobby', `${token}x`]);
const right = await page.evaluate(([u, t]) => publish(u, t), ['/whip/lobby', token]);

const sizes = [];
for (const by of [1, 2, 1]) {
  await page.evaluate((by) => shrink(by), by);
  let since = Infinity; // when it was first shown in its size; it may be sent smaller than it is let
  const shown = await until(20, async () => {
    const t = await tile();
    if (!t.width || (t.width <= 320) !== (by === 2)) return null;
    since = Math.min(since, t.time);
    return t.boxes.length > 0 && t.time > since + 1.2 && t;
  });
  sizes.push(shown ?? { failed: await tile() });
}
const deleted = await page.evaluate(() => leave());
const after = await until(10, async () => { const t = await tile(); return t.state !== 'online' && t.notice && t.still !== 300 && t; });
await browser.close();
console.log(JSON.stringify({ before, wrong, right, sizes, deleted, after, errors }));
