// Overlay draws what was detected over the picture it was detected in.
import { rtpTime, since } from './time.js';

const keep = 90000 * 4; // RTP ticks of detections kept: four seconds
const hold = 90000 * 0.6; // how long boxes stay without newer ones

const palette = ['#4fe3a8', '#7fb2ff', '#ffb26b', '#c9a5ff', '#ff9fae', '#8fe1ea', '#d9d27c'];
const known = ['person', 'car', 'bicycle', 'truck', 'motorcycle', 'bus'];
const lineColor = '#ffffff';
const zoneColor = '#a8d4ff';

function color(name) {
  let n = known.indexOf(name);
  if (n < 0) for (const c of name) n = (n * 31 + c.codePointAt(0)) & 0xffff;
  return palette[n % palette.length];
}

const shortID = (o) => o.track_id.split('-').pop();

export class Overlay {
  constructor(canvas, frame, shown) {
    Object.assign(this, { canvas, frame, shown, seen: [], lines: [], zones: [], drawn: 0, matched: 0, exact: 0 });
  }

  // size gives the frame around picture and canvas the picture's shape.
  size(width, height) {
    const shape = `${width} / ${height}`;
    if (this.shape !== shape) this.frame.style.aspectRatio = this.shape = shape;
  }

  places(lines, zones) {
    this.lines = lines;
    this.zones = zones;
  }

  detections(e) {
    const at = rtpTime(e.time);
    this.seen = this.seen.filter((s) => Math.abs(since(at, s.at)) < keep);
    this.seen.push({ at, objects: e.data.objects });
  }

  drawTime(time) { this.draw(rtpTime(time)); }

  // draw draws for the picture with this RTP time stamp.
  draw(at) {
    const g = this.clear();
    const seen = this.at(at);
    if (this.shown.places) this.paintPlaces(g);
    if (this.shown.trails) this.paintTrails(g, at);
    if (this.shown.boxes) this.paintBoxes(g, seen.objects);
    // For whoever checks that boxes and pictures belong together.
    this.drawn++;
    if (seen.known) this.matched++;
    if (seen.exact) this.exact++;
    const { drawn, matched, exact } = this;
    Object.assign(this.canvas.dataset, { drawn, matched, exact, at, boxes: JSON.stringify(seen.objects.map((o) => o.bbox)) });
  }

  clear() {
    const scale = devicePixelRatio || 1;
    const [w, h] = [Math.round(this.canvas.clientWidth * scale), Math.round(this.canvas.clientHeight * scale)];
    if (this.canvas.width !== w || this.canvas.height !== h) Object.assign(this.canvas, { width: w, height: h });
    const g = this.canvas.getContext('2d');
    g.clearRect(0, 0, w, h);
    g.lineJoin = 'round';
    g.font = `${11 * scale}px system-ui, sans-serif`;
    this.scale = scale;
    this.labels = [];
    return g;
  }

  // at is what was seen at that time: exactly where it was analyzed, between two
  // analyzed pictures half-way for tracks that are in both.
  at(at) {
    let before, after;
    for (const s of this.seen) {
      const d = since(at, s.at);
      if (d >= 0 && (!before || since(s.at, before.at) > 0)) before = s;
      if (d < 0 && (!after || since(s.at, after.at) < 0)) after = s;
    }
    if (!before || since(at, before.at) > hold) return { objects: [] };
    const exact = at === before.at; // packets and events carry the same time
    if (exact || !after || since(after.at, before.at) > hold) return { known: true, exact, objects: before.objects };
    const t = since(at, before.at) / since(after.at, before.at);
    const next = new Map(after.objects.filter((o) => o.track_id).map((o) => [o.track_id, o]));
    const objects = before.objects.map((o) => {
      const n = next.get(o.track_id);
      if (!n) return o;
      const mix = (k) => o.bbox[k] + (n.bbox[k] - o.bbox[k]) * t;
      return { ...o, bbox: { x: mix('x'), y: mix('y'), w: mix('w'), h: mix('h') } };
    });
    return { known: true, exact, objects };
  }

  // paintBoxes labels the nearest first, tracks before what no track has.
  paintBoxes(g, objects) {
    const { width: W, height: H } = this.canvas;
    const rank = (o) => (o.track_id ? 10 : 0) + o.bbox.y + o.bbox.h;
    const sorted = [...objects].sort((a, b) => rank(b) - rank(a));
    for (const o of sorted) {
      g.setLineDash(o.track_id ? [] : [5 * this.scale, 4 * this.scale]);
      for (const [style, width] of [['#0007', 4], [color(o.class), 2]]) {
        g.strokeStyle = style;
        g.lineWidth = (o.track_id ? width : width - 1) * this.scale;
        g.strokeRect(o.bbox.x * W, o.bbox.y * H, o.bbox.w * W, o.bbox.h * H);
      }
    }
    g.setLineDash([]);
    for (const o of sorted) {
      const text = o.track_id ? `${o.class} ${shortID(o)}` : `${o.class} ${Math.round(o.score * 100)}%`;
      const { x, y, w, h } = o.bbox;
      this.label(g, text, [[x * W, y * H - this.labelHeight()], [x * W, (y + h) * H], [(x + w) * W, y * H]], color(o.class));
    }
  }

  labelHeight() { return 15 * this.scale; }

  // label writes at the first of the places where it covers no other label, or
  // not at all.
  label(g, text, places, ground) {
    const { width: W, height: H } = this.canvas;
    const [w, h] = [g.measureText(text).width + 8 * this.scale, this.labelHeight()];
    for (const place of places) {
      const x = Math.min(Math.max(place[0] - this.scale, 0), W - w);
      const y = Math.min(Math.max(place[1], 0), H - h);
      if (this.labels.some((l) => x < l.x + l.w && l.x < x + w && y < l.y + l.h && l.y < y + h)) continue;
      this.labels.push({ x, y, w, h });
      g.fillStyle = ground;
      g.fillRect(x, y, w, h);
      g.fillStyle = '#10161a';
      g.fillText(text, x + 4 * this.scale, y + 11.2 * this.scale);
      return;
    }
  }

  paintTrails(g, at) {
    const { width: W, height: H } = this.canvas;
    const trails = new Map();
    for (const s of this.seen) {
      if (since(at, s.at) < 0) continue;
      for (const o of s.objects) {
        if (!o.track_id) continue;
        if (!trails.has(o.track_id)) trails.set(o.track_id, { color: color(o.class), points: [] });
        trails.get(o.track_id).points.push([(o.bbox.x + o.bbox.w / 2) * W, (o.bbox.y + o.bbox.h) * H]);
      }
    }
    g.globalAlpha = 0.75;
    g.lineWidth = 2 * this.scale;
    for (const t of trails.values()) {
      g.strokeStyle = t.color;
      path(g, t.points);
      g.stroke();
    }
    g.globalAlpha = 1;
  }

  paintPlaces(g) {
    const { width: W, height: H } = this.canvas;
    for (const z of this.zones) {
      const points = z.polygon.map(([x, y]) => [x * W, y * H]);
      path(g, points);
      g.closePath();
      g.fillStyle = `${zoneColor}28`;
      g.strokeStyle = zoneColor;
      g.lineWidth = 1.5 * this.scale;
      g.fill();
      g.stroke();
      this.label(g, z.occupancy === undefined ? z.name : `${z.name}: ${z.occupancy}`, points, zoneColor);
    }
    for (const l of this.lines) this.paintLine(g, l, W, H);
  }

  // A line is an arrow; the tick in its middle points forward, to its right.
  paintLine(g, l, W, H) {
    const [[x0, y0], [x1, y1]] = l.points.map(([x, y]) => [x * W, y * H]);
    const length = Math.hypot(x1 - x0, y1 - y0) || 1;
    const [dx, dy] = [(x1 - x0) / length, (y1 - y0) / length];
    const [mx, my, tick] = [(x0 + x1) / 2, (y0 + y1) / 2, 14 * this.scale];
    for (const [style, width] of [['#0008', 5], [lineColor, 2]]) {
      g.strokeStyle = style;
      g.lineWidth = width * this.scale;
      path(g, [[x0, y0], [x1, y1]]);
      g.moveTo(mx, my);
      g.lineTo(mx - dy * tick, my + dx * tick);
      g.stroke();
    }
    this.label(g, l.counts ? `${l.name}  ${l.counts.forward} → ${l.counts.backward} ←` : l.name, [[x0, y0], [x1, y1], [mx, my]], lineColor);
  }
}

function path(g, points) {
  g.beginPath();
  points.forEach(([x, y], i) => (i ? g.lineTo(x, y) : g.moveTo(x, y)));
}
