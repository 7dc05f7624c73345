// Badges, and the words they share.

export const count = new Intl.NumberFormat('en');

export function badge(text, kind, title = '') {
  const span = document.createElement('span');
  span.className = `badge ${kind}`;
  span.textContent = text;
  span.title = title;
  return span;
}

// show puts nodes in place of what is there; where nothing changed it is left alone, so
// that a text being read or pointed at stays.
export function show(parent, nodes) {
  const same = nodes.length === parent.childNodes.length && nodes.every((n, i) => n.isEqualNode(parent.childNodes[i]));
  if (!same) parent.replaceChildren(...nodes);
}

// list makes each badge an item of a list.
export const list = (badges) => badges.map((b) => {
  const li = document.createElement('li');
  li.append(b);
  return li;
});

export const joined = (parts, by = ' · ') => parts.filter(Boolean).join(by);

// clock is a time of day, with its date where it is not today.
export function clock(iso) {
  const at = new Date(iso);
  const time = at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  return at.toDateString() === new Date().toDateString() ? time : `${at.toLocaleDateString([], { day: 'numeric', month: 'short' })}, ${time}`;
}

// lasts is a time span in one unit.
export function lasts(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export function size(bytes) {
  if (bytes < 1 << 30) return `${Math.round(bytes / (1 << 20))} MiB`;
  return `${(bytes / (1 << 30)).toFixed(1).replace('.0', '')} GiB`;
}
