// The list of events, in words and pictures.
import { url } from './url.js';

const most = 150;

// Types the page listens to; updates and accounts are for machines.
export const types = ['detections', 'object.started', 'object.ended', 'line.crossed', 'zone.entered', 'zone.exited', 'zone.dwell',
  'zone.occupancy', 'count.reported', 'stream.online', 'stream.offline', 'stream.degraded', 'sink.degraded'];

const arrow = { forward: '→', backward: '←' };

function words(type, e) {
  const d = e.data;
  const who = d.object ? `${d.object.class} ${d.object.track_id.split('-').pop()}` : '';
  switch (type) {
    case 'line.crossed': return `${who} crossed ${d.line.name} ${arrow[d.line.direction] ?? ''}`;
    case 'zone.entered': return `${who} entered ${d.zone.name}`;
    case 'zone.exited': return `${who} left ${d.zone.name} after ${Math.round(d.zone.dwell_s)} s`;
    case 'zone.dwell': return `${who} stays in ${d.zone.name} (${Math.round(d.zone.dwell_s)} s)`;
    case 'zone.occupancy': return `${d.zone.occupancy} in ${d.zone.name}`;
    case 'count.reported': return `counted ${d.counts.map((c) => `${c.count} ${c.class} ${arrow[c.direction] ?? ''}`).join(', ') || 'nobody'}`;
    case 'object.started': return `${who} appeared`;
    case 'object.ended': return `${who} is gone (${d.reason.replace('_', ' ')})`;
    case 'stream.online': return `stream is online${d.reason?.code === 'fallback' ? ' (fallback)' : ''}`;
    case 'stream.degraded': return d.reason.code === 'recovered' ? `no longer ${d.reason.message}` : `stream is degraded (${d.reason.code})`;
    case 'stream.offline': return `stream is offline (${d.reason.code.replace('_', ' ')})`;
    case 'sink.degraded': return `${e.subject} ${d.reason.message ?? d.reason.code}`;
    default: return [type, d.reason?.message ?? d.reason?.code].filter(Boolean).join(': ');
  }
}

// picture is the event's snapshot, as a link to all of it. The last three parts of
// its uri are its place here, whatever store it names.
function picture(snapshot, text) {
  const link = document.createElement('a');
  link.className = 'shot';
  link.target = '_blank';
  link.href = url(`api/v1/snapshots/${snapshot.uri.split('/').slice(-3).join('/')}`);
  const img = document.createElement('img');
  Object.assign(img, { src: link.href, alt: text, loading: 'lazy', decoding: 'async', width: snapshot.width, height: snapshot.height });
  img.onerror = () => link.remove(); // kept no longer
  link.append(img);
  return link;
}

export function showEvent(list, e, type) {
  const add = (tag, className, text) => {
    const node = document.createElement(tag);
    node.className = className;
    node.textContent = text;
    li.append(node);
    return node;
  };
  const li = document.createElement('li');
  li.classList.add(type.split('.')[0]);
  if (e.severitytext) li.classList.add(e.severitytext);
  const time = add('time', '', new Date(e.time).toLocaleTimeString([], { hourCycle: 'h23' }));
  time.dateTime = time.title = e.time;
  add('span', 'what', words(type, e)).title = e.data.reason?.message ?? '';
  const stream = e.data.stream.name === '-' ? '' : e.data.stream.title || e.data.stream.name;
  add('span', 'where', [stream, e.data.rule?.name].filter(Boolean).join(' · '));
  const snapshot = e.data.media?.snapshot;
  if (snapshot) li.append(picture(snapshot, words(type, e)));
  list.prepend(li);
  const objects = list.getElementsByClassName('object'); // so many that they would push out the rest
  while (list.children.length > most) (objects.length > most / 2 ? objects[objects.length - 1] : list.lastChild).remove();
}
