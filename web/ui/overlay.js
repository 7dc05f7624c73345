// Overlay draws what was detected over the picture it was detected in.
const keep = 90000 * 4; // RTP ticks of detections kept: four seconds
const hold = 90000 * 0.6; // how long boxes stay without newer ones

// RTP time of a capture time: microseconds since 1970 at 90 kHz, modulo 2^32.
export function rtpTime(iso) {
  const [, whole, micros] = /^(.*?)(?:\.(\d{1,6}))?Z$/.exec(iso);
  const us = BigInt(Date.parse(`${whole}Z`)) * 1000n + BigInt((micros ?? '').padEnd(6, '0'));
  return Number((us * 9n / 100n) & 0xffffffffn);
}

// The signed difference of two RTP times.
const since = (a, b) => (a - b) | 0;

const color = (name) => {
  let h = 0;
  for (const c of name) h = (h * 31 + c.codePointAt(0)) % 360;
  return `hsl(${(h * 47) % 360} 90% 60%)`;
};

export class Overlay {
  constructor(canvas, shown) {
    Object.assign(this, { canvas, shown, seen: [], lines: [], zones: [], drawn: 0, matched: 0 });
  }

  places(lines, zones) {
    this.lines = lines;
    this.zones = zones;
  }

  detections(e) {
    const at = rtpTime(e.time);
    this.seen.push({ at, objects: e.data.objects });
    this.seen = this.seen.filter((s) => Math.abs(since(at, s.at)) < keep);
  }

  // draw draws for the picture with this RTP time stamp.
  draw(at) {
    const g = this.clear();
    this.paint(g, at);
  }

  // picture draws a still picture and what was seen in it.
  picture(image, time) {
    const g = this.clear();
    g.drawImage(image, 0, 0, this.canvas.width, this.canvas.height);
    this.paint(g, rtpTime(time));
  }

  clear() {
    const scale = devicePixelRatio || 1;
    const [w, h] = [Math.round(this.canvas.clientWidth * scale), Math.round(this.canvas.clientHeight * scale)];
    if (this.canvas.width !== w || this.canvas.height !== h) Object.assign(this.canvas, { width: w, height: h });
    const g = this.canvas.getContext('2d');
    g.clearRect(0, 0, w, h);
    g.lineWidth = 2 * scale;
    g.font = `${12 * scale}px system-ui, sans-serif`;
    return g;
  }

  paint(g, at) {
    this.drawn++;
    if (this.shown.places) this.paintPlaces(g);
    if (this.shown.trails) this.paintTrails(g, at);
    const objects = this.objectsAt(at);
    if (objects.length) this.matched++;
    this.canvas.dataset.drawn = this.drawn;
    this.canvas.dataset.matched = this.matched;
    this.canvas.dataset.boxes = JSON.stringify(objects.map((o) => o.bbox));
    if (this.shown.boxes) for (const o of objects) this.paintBox(g, o);
  }

  // objectsAt is what was seen at that time: exactly where it was analyzed,
  // between two analyzed pictures half-way for tracks that are in both.
  objectsAt(at) {
    let before, after;
    for (const s of this.seen) {
      const d = since(at, s.at);
      if (d >= -45 && (!before || since(s.at, before.at) > 0)) before = s;
      if (d < -45 && (!after || since(s.at, after.at) < 0)) after = s;
    }
    if (!before || since(at, before.at) > hold) return [];
    if (!after || since(after.at, before.at) > hold) return before.objects;
    const t = Math.max(0, since(at, before.at)) / since(after.at, before.at);
    const next = new Map(after.objects.filter((o) => o.track_id).map((o) => [o.track_id, o]));
    return before.objects.map((o) => {
      const n = next.get(o.track_id);
      if (!n) return o;
      const mix = (k) => o.bbox[k] + (n.bbox[k] - o.bbox[k]) * t;
      return { ...o, bbox: { x: mix('x'), y: mix('y'), w: mix('w'), h: mix('h') } };
    });
  }

  paintBox(g, o) {
    const { width: W, height: H } = this.canvas;
    const [x, y, w, h] = [o.bbox.x * W, o.bbox.y * H, o.bbox.w * W, o.bbox.h * H];
    g.strokeStyle = color(o.class);
    g.setLineDash(o.track_id ? [] : [6, 4]);
    g.strokeRect(x, y, w, h);
    g.setLineDash([]);
    this.label(g, `${o.class}${o.track_id ? ' ' + o.track_id.split('-').pop() : ''} ${Math.round(o.score * 100)}%`, x, y, color(o.class));
  }

  label(g, text, x, y, ground) {
    const size = parseInt(g.font, 10);
    const w = g.measureText(text).width + size * 0.6;
    const top = Math.max(0, y - size * 1.4);
    g.fillStyle = ground;
    g.fillRect(x - g.lineWidth / 2, top, w, size * 1.4);
    g.fillStyle = '#000';
    g.fillText(text, x + size * 0.25, top + size * 1.08);
  }

  paintTrails(g, at) {
    const { width: W, height: H } = this.canvas;
    const trails = new Map();
    for (const s of this.seen) {
      if (since(at, s.at) < -45) continue;
      for (const o of s.objects) {
        if (!o.track_id) continue;
        if (!trails.has(o.track_id)) trails.set(o.track_id, { color: color(o.class), points: [] });
        trails.get(o.track_id).points.push([(o.bbox.x + o.bbox.w / 2) * W, (o.bbox.y + o.bbox.h) * H]);
      }
    }
    g.globalAlpha = 0.7;
    for (const t of trails.values()) {
      g.strokeStyle = t.color;
      g.beginPath();
      t.points.forEach(([x, y], i) => (i ? g.lineTo(x, y) : g.moveTo(x, y)));
      g.stroke();
    }
    g.globalAlpha = 1;
  }

  paintPlaces(g) {
    const { width: W, height: H } = this.canvas;
    for (const z of this.zones) {
      g.beginPath();
      z.polygon.forEach(([x, y], i) => (i ? g.lineTo(x * W, y * H) : g.moveTo(x * W, y * H)));
      g.closePath();
      g.fillStyle = 'hsl(200 90% 60% / .15)';
      g.strokeStyle = 'hsl(200 90% 60%)';
      g.fill();
      g.stroke();
      const [x, y] = z.polygon[0];
      this.label(g, z.occupancy === undefined ? z.name : `${z.name}: ${z.occupancy}`, x * W, y * H, 'hsl(200 90% 75%)');
    }
    for (const l of this.lines) this.paintLine(g, l, W, H);
  }

  // A line is an arrow; the tick in its middle points forward, to its right.
  paintLine(g, l, W, H) {
    const [[x0, y0], [x1, y1]] = l.points.map(([x, y]) => [x * W, y * H]);
    const length = Math.hypot(x1 - x0, y1 - y0);
    const [dx, dy] = [(x1 - x0) / length, (y1 - y0) / length];
    const [mx, my, tick] = [(x0 + x1) / 2, (y0 + y1) / 2, 9 * g.lineWidth];
    g.strokeStyle = 'hsl(48 100% 55%)';
    g.beginPath();
    g.moveTo(x0, y0);
    g.lineTo(x1, y1);
    g.moveTo(mx, my);
    g.lineTo(mx - dy * tick, my + dx * tick);
    g.stroke();
    this.label(g, `${l.name} ${l.counts.forward ?? 0} → ${l.counts.backward ?? 0} ←`, Math.min(x0, x1), (x0 < x1 ? y0 : y1), 'hsl(48 100% 70%)');
  }
}
