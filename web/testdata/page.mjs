// Looks at the page as people do, and prints what it saw as JSON.
// usage: page.mjs CHROMIUM DEPS URL [SHOT.png]
import { open, complaints, until } from './browser.mjs';

const [path, deps, url, shot] = process.argv.slice(2);
const browser = await open(path, deps);
const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
const errors = complaints(page);
await page.goto(url);
await page.waitForSelector('#stream-gone');

// From each picture of "marks": its stamp and where the white bar stands. From
// each drawing over "north": the stamp, whether it was analyzed, and the boxes.
await page.evaluate(() => {
  window.marks = [];
  window.drawings = [];
  const video = document.querySelector('#stream-marks video');
  const small = new OffscreenCanvas(300, 1).getContext('2d', { willReadFrequently: true });
  const each = (_, frame) => {
    small.drawImage(video, 0, 0, 300, 1);
    const { data } = small.getImageData(0, 0, 300, 1);
    let sum = 0, weighted = 0;
    for (let x = 0; x < 300; x++) if (data[4 * x] > 128) { sum++; weighted += x; }
    if (sum) window.marks.push({ at: frame.rtpTimestamp, mark: Math.floor(weighted / sum / 10) });
    video.requestVideoFrameCallback(each);
  };
  video.requestVideoFrameCallback(each);
  const overlay = document.querySelector('#stream-north .overlay');
  let exact = 0;
  new MutationObserver(() => {
    const d = overlay.dataset;
    if (+d.exact > exact) window.drawings.push({ at: +d.at, boxes: JSON.parse(d.boxes) });
    exact = +d.exact;
  }).observe(overlay, { attributes: true, attributeFilter: ['data-boxes'] });
});

const look = () => page.evaluate(() => Object.fromEntries([...document.querySelectorAll('.tile')].map((tile) => {
  const [video, still, overlay] = ['video', '.still', '.overlay'].map((s) => tile.querySelector(s));
  const text = (s) => tile.querySelector(s).textContent;
  const box = tile.querySelector('.picture').getBoundingClientRect();
  return [tile.id.replace('stream-', ''), {
    width: video.videoWidth, time: video.currentTime, still: still.width, drawn: +overlay.dataset.drawn || 0, matched: +overlay.dataset.matched || 0,
    exact: +overlay.dataset.exact || 0, boxes: JSON.parse(overlay.dataset.boxes ?? '[]').length, notice: text('.notice'), state: text('.state'),
    facts: text('.facts'), network: [...tile.querySelector('.network').childNodes].map((c) => c.textContent).join(' '), counts: [...tile.querySelectorAll('.counts li')].map((li) => li.textContent), shape: box.width / box.height,
  }];
})));
const enough = await until(40, async () => {
  const t = await look();
  const seen = await page.evaluate(() => [window.marks.length, window.drawings.length]);
  return t.north.time > 4 && t.marks.time > 4 && t.north.exact > 20 && t.old.drawn > 15 && t.old.boxes > 0 && /offline/.test(t.gone.notice) && seen[0] > 30 && seen[1] > 15;
});
const tiles = await look();
const { marks, drawings } = await page.evaluate(() => ({ marks: window.marks, drawings: window.drawings }));
await page.click('#objects');
const events = await page.evaluate(() => [...document.querySelectorAll('#events li')].map((li) => li.innerText.replace(/\s+/g, ' ')));
const badges = () => page.evaluate(() => [...document.querySelectorAll('#sinks li')].map((li) => li.textContent));
await until(20, async () => (await badges()).some((text) => /the oldest for/.test(text)));
const sinks = await badges();
const feed = await page.textContent('#feed');
const loaded = () => page.evaluate(() => [...document.querySelectorAll('#events .shot img')].filter((i) => i.naturalWidth).map((i) => [i.naturalWidth, i.width]));
await until(10, async () => (await loaded()).length > 0);
const pictures = await loaded();

// Again on a small dark screen: nothing may stick out.
if (shot) await page.screenshot({ path: shot });
await page.emulateMedia({ colorScheme: 'dark' });
await page.setViewportSize({ width: 390, height: 800 });
const sticksOut = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
await browser.close();
console.log(JSON.stringify({ enough: enough !== null, tiles, marks, drawings, events, pictures, sinks, feed, sticksOut, ground, errors }));
