#!/usr/bin/env python3
"""Records what TrackEval and py-motmetrics measure on made-up tracks, for recorded_test.go.

    python3 -m venv venv && venv/bin/pip install trackeval==1.3.0 motmetrics==1.4.0
    venv/bin/python record.py > recorded.json

Every scene has walkers as ground truth and a tracker's idea of them: trembling
and shifted boxes, misses, false boxes, broken and swapped ids, frames without
truth, frames without boxes. Places are whole pixels.
"""
import json
import random

import motmetrics
import numpy as np
from trackeval.metrics import CLEAR, HOTA, Identity


def scene(seed, frames, walkers, shift, miss, false, swap, hole):
    rng = random.Random(seed)
    people = [[rng.randint(0, 600), rng.randint(0, 400), rng.randint(-6, 6), rng.randint(-3, 3), rng.randint(25, 45), rng.randint(60, 110)]
              for _ in range(walkers)]
    name = {i: i + 1 for i in range(walkers)}
    fresh = walkers + 1
    truth, found = [], []
    for n in range(1, frames + 1):
        t, f = [], []
        for i in range(walkers):
            if rng.random() < swap:
                if rng.random() < 0.5:
                    name[i], fresh = fresh, fresh + 1
                else:
                    j = rng.randrange(walkers)
                    name[i], name[j] = name[j], name[i]
        for i, p in enumerate(people):
            p[0], p[1] = p[0] + p[2], p[1] + p[3]
            if (n + 7 * i) % 40 < 6 or n % 50 == 0:
                continue  # behind something: nobody sees him
            t.append([i + 1, *p[:2], *p[4:]])
            if rng.random() > miss and n % hole:
                d = [rng.randint(-shift, shift) for _ in range(4)]
                f.append([name[i], p[0] + d[0], p[1] + d[1], p[4] + d[2], p[5] + d[3]])
        if rng.random() < false and n % hole:
            f.append([fresh, rng.randint(0, 600), rng.randint(0, 400), 30, 80])
            fresh += 1
        truth.append(t)
        found.append(f)
    return truth, found


def iou(a, b):
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)))
    a, b = np.array(a, float), np.array(b, float)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    inter = np.prod(np.clip(high - low, 0, None), axis=2)
    return inter / (np.prod(a[:, 2:], axis=1)[:, None] + np.prod(b[:, 2:], axis=1)[None] - inter)


def measure(truth, found):
    g = {k: i for i, k in enumerate(sorted({r[0] for f in truth for r in f}))}
    d = {k: i for i, k in enumerate(sorted({r[0] for f in found for r in f}))}
    similar = [iou([r[1:] for r in t], [r[1:] for r in f]) for t, f in zip(truth, found)]
    data = dict(num_timesteps=len(truth), num_gt_ids=len(g), num_tracker_ids=len(d),
                num_gt_dets=sum(map(len, truth)), num_tracker_dets=sum(map(len, found)),
                gt_ids=[np.array([g[r[0]] for r in t], int) for t in truth],
                tracker_ids=[np.array([d[r[0]] for r in f], int) for f in found], similarity_scores=similar)
    quiet = {"PRINT_CONFIG": False}
    hota, clear, ident = HOTA().eval_sequence(data), CLEAR(quiet).eval_sequence(data), Identity(quiet).eval_sequence(data)
    acc = motmetrics.MOTAccumulator(auto_id=True)
    for t, f, s in zip(truth, found, similar):
        acc.update([r[0] for r in t], [r[0] for r in f], np.where(s >= 0.5, 1 - s, np.nan))
    mm = motmetrics.metrics.create().compute(acc, metrics=["mota", "idf1", "num_switches", "precision", "recall"], name="x").iloc[0]
    return {
        "trackeval": {"HOTA": float(np.mean(hota["HOTA"])), "DetA": float(np.mean(hota["DetA"])), "AssA": float(np.mean(hota["AssA"])),
                      "MOTA": float(clear["MOTA"]), "MOTP": float(clear["MOTP"]), "IDSW": int(clear["IDSW"]), "Precision": float(clear["CLR_Pr"]),
                      "Recall": float(clear["CLR_Re"]), "IDF1": float(ident["IDF1"])},
        "motmetrics": {"MOTA": float(mm.mota), "IDF1": float(mm.idf1), "IDSW": int(mm.num_switches), "Precision": float(np.nan_to_num(mm.precision)), "Recall": float(mm.recall)},
    }


scenes = {
    "good": (1, 120, 6, 2, 0.03, 0.1, 0.004, 1000),
    "shaky": (2, 120, 6, 12, 0.15, 0.5, 0.02, 1000),
    "crowded": (3, 80, 25, 6, 0.1, 0.6, 0.02, 1000),
    "holes": (4, 100, 5, 4, 0.05, 0.2, 0.05, 9),
    "blind": (5, 30, 4, 2, 1.0, 0.0, 0.0, 1000),
}
out = []
for key, args in scenes.items():
    truth, found = scene(*args)
    out.append(json.dumps({"name": key, "truth": truth, "found": found, **measure(truth, found)}, separators=(",", ":")))
print("[" + ",\n".join(out) + "]")
