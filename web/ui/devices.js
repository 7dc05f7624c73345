// GPUs: one badge for each, with its memory and streams, and whether it is lost.
import { badge, clock, count, joined, list, show, size } from './badges.js';

const times = (n) => (n === 1 ? 'once' : `${count.format(n)} times`);

// memory is what this program has of its budget, or all have of the GPU where it has none.
function memory({ used_bytes: used, budget_bytes: budget, total_bytes: total, free_bytes: free }) {
  if (!total) return '';
  if (!budget) return `${size(total - free)} of ${size(total)}`;
  return `${size(Object.values(used ?? {}).reduce((sum, n) => sum + n, 0))} of ${size(budget)}`;
}

function details(d) {
  const used = Object.entries(d.used_bytes ?? {}).sort(([, a], [, b]) => b - a).map(([what, n]) => `${what} ${size(n)}`);
  return joined([d.device, d.driver && `driver ${d.driver}`, d.free_bytes && `${size(d.free_bytes)} of ${size(d.total_bytes)} free`, ...used], ', ');
}

function deviceBadge(d) {
  const streams = `${count.format(d.streams)} ${d.streams === 1 ? 'stream' : 'streams'}`;
  const name = d.name || d.device;
  if (d.state === 'lost') return badge(`${name}: lost at ${clock(d.since)}, ${streams} without it`, 'offline', joined([d.device, d.error], ': '));
  const back = d.losses ? `back since ${clock(d.since)}, lost ${times(d.losses)}` : '';
  return badge(`${name}: ${joined([memory(d), streams, back], ', ')}`, 'online', details(d));
}

export const showDevices = (parent, devices) => show(parent, list(devices.map(deviceBadge)));
