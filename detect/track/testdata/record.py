#!/usr/bin/env python3
"""Records what an independent ByteTrack does with made-up walkers, for reference_test.go.

    python3 -m venv venv && venv/bin/pip install supervision==0.25.1
    venv/bin/python record.py > reference.json

Walkers cross, stop, hide behind each other and behind a wall, some for longer
than tracks are kept; boxes tremble, scores sink while somebody is half hidden,
and a few boxes are false. Places are multiples of 1/8 pixel, because the
recorded tracker keeps boxes in single precision. The first frame is empty: the
recorded tracker confirms what it sees in its first frame at once.
"""
import json
import random

import numpy as np
from supervision.tracker.byte_tracker.core import ByteTrack

W, H, FRAMES, KEEP = 640, 480, 260, 30
rng = random.Random(20220)


def eighth(v):
    return round(v * 8) / 8


class Walker:
    def __init__(self):
        self.h = rng.uniform(40, 120)
        self.w = self.h * rng.uniform(0.3, 0.45)
        self.x, self.y = rng.uniform(0, W), rng.uniform(80, H - 60)
        self.vx, self.vy = rng.uniform(-6, 6), rng.uniform(-2, 2)
        self.hidden = 0

    def step(self):
        if rng.random() < 0.02:
            self.vx, self.vy = rng.uniform(-6, 6), rng.uniform(-2, 2)
        if rng.random() < 0.01:
            self.hidden = rng.choice([2, 5, 20, KEEP, KEEP + 1, KEEP + 2, KEEP + 3, 45])
        self.hidden = max(0, self.hidden - 1)
        self.x, self.y = self.x + self.vx, self.y + self.vy
        if not 0 < self.x < W:
            self.vx = -self.vx
        if not 60 < self.y < H:
            self.vy = -self.vy

    def box(self):
        s = 0.02 * self.h
        return [eighth(v) for v in (self.x - self.w / 2 + rng.gauss(0, s), self.y - self.h + rng.gauss(0, s),
                                    self.w + rng.gauss(0, s), self.h + rng.gauss(0, s))]


def covered(a, others):
    ax, ay, aw, ah = a
    most = 0
    for bx, by, bw, bh in others:
        w, h = min(ax + aw, bx + bw) - max(ax, bx), min(ay + ah, by + bh) - max(ay, by)
        if w > 0 and h > 0:
            most = max(most, w * h / (aw * ah))
    return most


walkers = [Walker() for _ in range(12)]
tracker = ByteTrack(track_activation_threshold=0.5, lost_track_buffer=KEEP, frame_rate=30)
frames = []
for n in range(FRAMES):
    dets, front = [], []
    for w in sorted(walkers, key=lambda w: -w.y):
        w.step()
        b = w.box()
        hidden = covered(b, front)
        front.append(b)
        if n > 0 and not w.hidden and hidden < 0.85 and rng.random() > 0.03:
            dets.append(b + [min(0.99, max(0.03, round(rng.gauss(0.85, 0.08) - 0.8 * hidden, 3) + 0.0005))])
    for _ in range(rng.choice([0, 0, 1]) if n else 0):
        dets.append([eighth(rng.uniform(0, W)), eighth(rng.uniform(0, H)), 24.0, 60.0, round(rng.uniform(0.05, 0.8), 3) + 0.0005])
    dets = [[*d[:4], round(d[4], 4)] for d in dets]
    t = np.array([[x, y, x + w, y + h, s] for x, y, w, h, s in dets]).reshape(-1, 5)
    tracks = tracker.update_with_tensors(t)
    frames.append({"detections": dets,
                   "tracks": [[int(t.external_track_id)] + [round(float(v), 4) for v in t.mean[:4]] for t in tracks]})
print(json.dumps({"width": W, "height": H, "keep": KEEP}, separators=(",", ":"))[:-1] + ',"frames":[')
print(",\n".join(json.dumps(f, separators=(",", ":")) for f in frames) + "]}")
