// Where events go: one badge for each sink, with its trouble and what waits for it.
import { badge, count, joined, list, show } from './badges.js';

// waits says how much a sink in trouble holds back, and since when.
function waits({ queued_events: events, oldest_s: oldest }) {
  if (!events) return [];
  return [`${count.format(events)} ${events === 1 ? 'event waits' : 'events wait'}`, oldest >= 1 ? `the oldest for ${Math.round(oldest)} s` : ''];
}

function sinkBadge(sink) {
  const well = sink.state === 'ok';
  const troubles = (sink.troubles ?? []).join(', ').replaceAll('_', ' ');
  const lost = sink.dead_letters ? `${count.format(sink.dead_letters)} undeliverable` : '';
  const text = joined([well ? '' : troubles || sink.state, ...(well ? [] : waits(sink)), lost], ', ');
  return badge(joined([sink.name, text], ': '), well ? 'online' : 'offline', sink.error ?? `${sink.kind}: events arrive`);
}

export const showSinks = (parent, sinks) => show(parent, list(sinks.map(sinkBadge)));
