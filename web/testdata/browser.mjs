// What the scripts share: Debian's Chromium, driven by playwright-core.
import { createRequire } from 'node:module';

// open starts the browser at PATH with the packages below DEPS.
export async function open(path, deps, args = []) {
  const { chromium } = createRequire(`${deps}/node/`)('playwright-core');
  const browser = await chromium.launch({
    executablePath: path,
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', ...args],
  });
  return browser;
}

// complaints collects what a page writes to its console, and its errors. An
// answer that the page asks for and handles, such as 406, is no complaint.
export function complaints(page) {
  const found = [];
  page.on('console', (m) => { if (m.type() === 'error' && !/status of (406|401)/.test(m.text())) found.push(`${m.text()} ${m.location().url}`); });
  page.on('pageerror', (e) => found.push(String(e)));
  return found;
}

// until polls until done() gives something, which it returns; null at the deadline.
export async function until(seconds, done) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
    const got = await done();
    if (got) return got;
    await new Promise((r) => setTimeout(r, 100));
  }
  return null;
}
