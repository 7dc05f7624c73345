// The page: one tile for each stream, its boxes drawn over the very picture they
// belong to, and the latest events.
import { Player } from './player.js';
import { Overlay } from './overlay.js';
import { showEvent, types } from './events.js';
import { showSinks } from './sinks.js';
import { showDevices } from './devices.js';
import { showOptimized } from './optimized.js';
import { url } from './url.js';

const tiles = new Map();
const shown = {};
const $ = (id) => document.getElementById(id);

for (const name of ['boxes', 'trails', 'places']) {
  shown[name] = $(name).checked;
  $(name).addEventListener('change', (e) => { shown[name] = e.target.checked; });
}
$('events').classList.toggle('quiet', !$('objects').checked);
$('objects').addEventListener('change', (e) => $('events').classList.toggle('quiet', !e.target.checked));

async function getJSON(path) {
  const r = await fetch(url(path));
  if (!r.ok) throw new Error(`${path}: ${r.status} ${await r.text()}`);
  return r.json();
}

function addTile(stream) {
  const node = $('tile').content.cloneNode(true).firstElementChild;
  const part = (selector) => node.querySelector(selector);
  const tile = { node, part, trouble: '' };
  tile.overlay = new Overlay(part('.overlay'), part('.picture'), shown);
  tile.player = new Player(stream.name, part('video'), part('.still'), tile.overlay, (text) => {
    tile.trouble = text;
    notice(tile);
  });
  part('.name').textContent = stream.title || stream.name;
  node.id = `stream-${stream.name}`;
  $('streams').append(node);
  tiles.set(stream.name, tile);
  tile.player.run();
  return tile;
}

// notice says over the picture why it stands still; the stream's own state comes
// before what the player has to say.
function notice({ part, stream, trouble }) {
  const text = away(stream) ?? [...unwell(stream), trouble].filter(Boolean).join(' · ');
  if (part('.notice').textContent !== text) part('.notice').textContent = text;
}

const because = (reason) => [reason?.code?.replace('_', ' '), reason?.message].filter(Boolean).join(': ');

// unwell is what is wrong with a stream that is there.
function unwell({ degraded, view }) {
  const list = degraded?.length ? [`degraded: ${degraded.join(', ').replaceAll('_', ' ')}`] : [];
  return view?.state === 'offline' ? [...list, `large stream offline: ${because(view.reason)}`] : list;
}

function away(stream) {
  const reason = because(stream.reason);
  switch (stream.state) {
    case 'online': return undefined;
    case 'idle': return 'connecting';
    case 'starting': return stream.kind === 'whip' ? `waiting for a publisher at /whip/${stream.name}` : 'connecting';
    case 'offline': return `offline${reason ? ` · ${reason}` : ''}`;
    default: return `${stream.state}${reason ? ` · ${reason}` : ''}`;
  }
}

function updateTile(stream) {
  const tile = tiles.get(stream.name) ?? addTile(stream);
  const { part, overlay, player } = tile;
  tile.stream = stream;
  // Who watches is what makes a stream on demand come.
  player.online = stream.state === 'online' || Boolean(stream.on_demand) && stream.state !== 'ended' && !document.hidden;
  if (stream.view && stream.view.state !== 'idle') player.small = stream.view.state === 'offline';
  const badge = part('.state');
  const state = stream.state === 'online' && stream.degraded?.length ? 'degraded' : stream.state;
  badge.textContent = state;
  badge.className = `state badge ${state}`;
  if (stream.width) {
    if (!overlay.shape) overlay.size(stream.width, stream.height);
    const { name, engine, precision } = stream.model;
    part('.facts').textContent = `${stream.codec} ${stream.width}×${stream.height} · ${name ? `${name} on ${engine} ${precision}` : 'nothing is detected'}`;
  }
  showOptimized(part('.network'), stream.optimized);
  overlay.places(stream.lines, stream.zones);
  part('.counts').replaceChildren(...stream.lines.filter((l) => l.counts).map((l) => item(`${l.name}: ${l.counts.forward} → ${l.counts.backward} ←`)),
    ...stream.zones.filter((z) => z.occupancy !== undefined).map((z) => item(`${z.name}: ${z.occupancy} inside`)));
  notice(tile);
}

function item(text) {
  const li = document.createElement('li');
  li.textContent = text;
  return li;
}

async function refresh() {
  try {
    (await getJSON('api/v1/streams')).forEach(updateTile);
    showSinks($('sinks'), await getJSON('api/v1/sinks'));
    showDevices($('devices'), await getJSON('api/v1/devices'));
  } catch {
    for (const tile of tiles.values()) { // the badge on top says it, too
      updateTile({ ...tile.stream, state: 'offline', reason: { code: 'the server does not answer' } });
    }
  }
  setTimeout(refresh, 1000);
}

function listen() {
  const source = new EventSource(url('api/v1/events?last=200'));
  const badge = $('feed');
  source.onopen = () => { badge.textContent = 'live'; badge.className = 'badge online'; };
  source.onerror = () => {
    badge.textContent = 'reconnecting';
    badge.className = 'badge offline';
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 2000); // the browser has given up
  };
  for (const type of types) {
    source.addEventListener(`sightline.${type}`, (m) => {
      const e = JSON.parse(m.data);
      if (type === 'detections') tiles.get(e.data.stream.name)?.overlay.detections(e);
      else showEvent($('events'), e, type);
    });
  }
}

getJSON('api/v1/pipeline').then((p) => { $('site').textContent = [...new Set([p.name, p.site])].join(' · '); }, console.warn);
refresh();
listen();
