// Where events go: one badge for each sink, with its trouble and what waits for it.

const count = new Intl.NumberFormat('en');

// waits says how much a sink in trouble holds back, and since when.
function waits({ queued_events: events, oldest_s: oldest }) {
  if (!events) return [];
  return [`${count.format(events)} ${events === 1 ? 'event waits' : 'events wait'}`, oldest >= 1 ? `the oldest for ${Math.round(oldest)} s` : ''];
}

function badge(sink) {
  const li = document.createElement('li');
  const well = sink.state === 'ok';
  const troubles = (sink.troubles ?? []).join(', ').replaceAll('_', ' ');
  const lost = sink.dead_letters ? `${count.format(sink.dead_letters)} undeliverable` : '';
  const text = [well ? '' : troubles || sink.state, ...(well ? [] : waits(sink)), lost].filter(Boolean);
  li.className = `badge ${well ? 'online' : 'offline'}`;
  li.textContent = [sink.name, text.join(', ')].filter(Boolean).join(': ');
  li.title = sink.error ?? `${sink.kind}: events arrive`;
  return li;
}

// showSinks draws them anew; what did not change is left alone, so that a text being
// read or pointed at stays.
export function showSinks(list, sinks) {
  const now = sinks.map(badge);
  const same = now.length === list.children.length && now.every((li, i) => li.isEqualNode(list.children[i]));
  if (!same) list.replaceChildren(...now);
}
