// What became of a stream's smaller network: a badge, and a few words beside it.
import { badge, clock, count, joined, lasts, show } from './badges.js';

const percent = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 0 });
const left = (seconds) => (seconds ? `${lasts(seconds)} left` : '');

// making is how far a network is that does not exist yet.
function making(m, name) {
  const failed = m.failures ? `could not be made ${m.failures === 1 ? 'once' : `${count.format(m.failures)} times`}` : '';
  switch (m.state) {
    case 'collecting':
      return ['optimizing', 'quiet', joined([name, 'collecting pictures', percent.format(m.pictures / m.wanted), left(m.left_s), failed])];
    case 'waiting':
      return ['optimizing', 'quiet', joined([name, 'waits for its turn', failed])];
    case 'compiling':
      return ['optimizing', 'quiet', joined([name, m.step || 'being made', m.of ? percent.format(m.done / m.of) : '', m.left_s ? `${left(m.left_s)} in this step` : '', failed])];
    case 'retrying':
      return ['not optimized', 'warn', joined([name, failed, `again at ${clock(m.retry)}`, m.reason])];
    case 'refused':
      return ['not optimized', 'quiet', joined([name, 'refused', m.reason])];
    default:
      return ['not optimized', 'warn', joined([name, failed || m.state, m.reason])];
  }
}

// words are the badge's text and kind, and what is said beside it.
function words(o) {
  const name = `${o.mode} network`;
  const speed = o.speedup ? `${o.speedup.toFixed(1)}× as fast` : '';
  if (o.working === 'optimized') {
    const agrees = o.window ? `agrees ${percent.format(Math.min(o.recall, o.precision))} over ${count.format(o.window)} ${o.window === 1 ? 'look' : 'looks'}` : '';
    return ['optimized', 'online', joined([name, speed, agrees, o.falls && o.since ? `again since ${clock(o.since)}` : ''])];
  }
  if (o.falls) return ['fell back', 'warn', joined([`the original since ${clock(o.since)}`, o.reason])];
  if (o.making && !o.making.made) return making(o.making, name);
  return ['ready', 'quiet', joined([name, speed, o.waits ? 'taken at the next start' : 'about to be taken'])];
}

// showOptimized draws it; a stream that has none is given none.
export function showOptimized(parent, o) {
  if (!o) return show(parent, []);
  const [text, kind, beside] = words(o);
  const span = document.createElement('span');
  span.className = 'facts';
  span.textContent = beside;
  return show(parent, [badge(text, kind, o.working === 'optimized' ? `at least ${percent.format(o.budget)} is wanted` : ''), span]);
}
