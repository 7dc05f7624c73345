// The page: one tile for each stream, its boxes drawn over the very picture they
// belong to, and the latest events.
import { Player } from './player.js';
import { Overlay } from './overlay.js';

const tiles = new Map();
const shown = { boxes: true, trails: true, places: true };
const $ = (id) => document.getElementById(id);

for (const name of Object.keys(shown)) {
  $(name).addEventListener('change', (e) => { shown[name] = e.target.checked; });
}

async function getJSON(path) {
  const r = await fetch(path);
  if (!r.ok) throw new Error(`${path}: ${r.status} ${await r.text()}`);
  return r.json();
}

function addTile(stream) {
  const node = $('tile').content.cloneNode(true).firstElementChild;
  const part = (selector) => node.querySelector(selector);
  const overlay = new Overlay(part('canvas'), shown);
  const player = new Player(stream.name, part('video'), overlay, (text) => { part('.notice').textContent = text; });
  part('.name').textContent = stream.title || stream.name;
  node.id = `stream-${stream.name}`;
  $('streams').append(node);
  tiles.set(stream.name, { node, part, overlay, player });
  player.start();
}

function updateTile(stream) {
  const { part, overlay } = tiles.get(stream.name);
  const badge = part('.state');
  badge.textContent = stream.state;
  badge.className = `state badge ${stream.state}`;
  badge.title = stream.reason ? `${stream.reason.code}: ${stream.reason.message ?? ''}` : '';
  if (stream.width) {
    part('.picture').style.aspectRatio = `${stream.width} / ${stream.height}`;
    part('.facts').textContent = `${stream.codec} ${stream.width}×${stream.height} · ${stream.model.name} on ${stream.model.engine} ${stream.model.precision}`;
  }
  overlay.places(stream.lines, stream.zones);
  part('.counts').replaceChildren(...stream.lines.map((l) => item(`${l.name}: ${l.counts.forward ?? 0} → ${l.counts.backward ?? 0} ←`)),
    ...stream.zones.filter((z) => z.occupancy !== undefined).map((z) => item(`${z.name}: ${z.occupancy} inside`)));
}

function item(text) {
  const li = document.createElement('li');
  li.textContent = text;
  return li;
}

async function refresh() {
  try {
    for (const stream of await getJSON('api/v1/streams')) {
      if (!tiles.has(stream.name)) addTile(stream);
      updateTile(stream);
    }
  } catch (e) {
    console.warn(e);
  }
  setTimeout(refresh, 1000);
}

// What happened, in words.
function words(e) {
  const d = e.data;
  const who = d.object ? `${d.object.class} ${d.object.track_id.split('-').pop()}` : '';
  switch (e.type.replace('sightline.', '')) {
    case 'line.crossed': return `${who} crossed ${d.line.name} ${d.line.direction}`;
    case 'zone.entered': return `${who} entered ${d.zone.name}`;
    case 'zone.exited': return `${who} left ${d.zone.name}`;
    case 'zone.dwell': return `${who} has been in ${d.zone.name} for ${Math.round(d.zone.dwell_s)} s`;
    case 'zone.occupancy': return `${d.zone.occupancy} in ${d.zone.name}`;
    case 'count.reported': return `counted ${d.counts.map((c) => `${c.count} ${c.class} ${c.direction}`).join(', ') || 'nothing'}`;
    case 'object.started': return `${who} appeared`;
    case 'object.ended': return `${who} is gone (${d.reason})`;
    case 'object.updated': return `${who}: ${(d.changed ?? ['moved']).join(', ')}`;
    default: return [e.type.replace('sightline.', ''), d.reason?.code, d.reason?.message].filter(Boolean).join(' · ');
  }
}

function showEvent(e) {
  const li = document.createElement('li');
  if (e.severitytext) li.classList.add(e.severitytext);
  const time = document.createElement('time');
  time.dateTime = e.time;
  time.textContent = e.time.slice(11, 19);
  const what = document.createElement('span');
  what.className = 'what';
  what.textContent = words(e);
  const where = document.createElement('span');
  where.className = 'where';
  where.textContent = [e.data.stream.title || e.data.stream.name, e.data.rule?.name].filter(Boolean).join(' · ');
  li.append(time, what, where);
  $('events').prepend(li);
  while ($('events').children.length > 60) $('events').lastChild.remove();
}

const hidden = new Set(['sightline.object.updated', 'sightline.pipeline.accounting']);
const types = ['detections', 'object.started', 'object.updated', 'object.ended', 'line.crossed', 'zone.entered', 'zone.exited', 'zone.dwell',
  'zone.occupancy', 'count.reported', 'stream.online', 'stream.offline', 'stream.degraded', 'sink.degraded'];

function listen() {
  const source = new EventSource('api/v1/events?last=30');
  const badge = $('feed');
  source.onopen = () => { badge.textContent = 'live'; badge.className = 'badge online'; };
  source.onerror = () => { badge.textContent = 'reconnecting'; badge.className = 'badge offline'; };
  for (const type of types) {
    source.addEventListener(`sightline.${type}`, (m) => {
      const e = JSON.parse(m.data);
      if (type === 'detections') tiles.get(e.data.stream.name)?.overlay.detections(e);
      else if (!hidden.has(e.type)) showEvent(e);
    });
  }
}

getJSON('api/v1/pipeline').then((p) => { $('site').textContent = [...new Set([p.name, p.site])].join(' · '); }, console.warn);
refresh();
listen();
