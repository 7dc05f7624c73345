// Reads what the page says of networks and GPUs, and prints it as JSON.
// usage: states.mjs CHROMIUM DEPS URL STREAMS [FOLDER of screenshots]
import { open, until } from './browser.mjs';

const [path, deps, url, streams, shots] = process.argv.slice(2);
const browser = await open(path, deps);
const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
const errors = [];
page.on('pageerror', (e) => errors.push(String(e)));
await page.goto(url);
const texts = (selector) => page.evaluate((s) => [...document.querySelectorAll(s)].map((n) => [...n.childNodes].map((c) => c.textContent)), selector);
await until(20, async () => (await texts('.network')).length === +streams && (await texts('#devices li')).length > 0);
const networks = Object.fromEntries(await page.evaluate(() => [...document.querySelectorAll('.tile')].map((tile) => [
  tile.id.replace('stream-', ''), [...tile.querySelector('.network').childNodes].map((c) => c.textContent),
])));
const devices = (await texts('#devices li')).flat();
const sticksOut = {};
for (const colorScheme of ['light', 'dark']) {
  for (const width of [1400, 390]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 900 });
    sticksOut[`${colorScheme} ${width}`] = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (shots) await page.screenshot({ path: `${shots}/${colorScheme}-${width}.png`, fullPage: true });
  }
}
// A node that did not change stays the same one.
await page.evaluate(() => { for (const n of document.querySelectorAll('.network .badge, #devices .badge')) n.seen = true; });
await new Promise((r) => setTimeout(r, 2500)); // two more answers of the server
const anew = await page.evaluate(() => [...document.querySelectorAll('.network .badge, #devices .badge')].filter((n) => !n.seen).length);
await browser.close();
console.log(JSON.stringify({ networks, devices, sticksOut, anew, errors }));
