#!/usr/bin/env python3
"""Records reference.json: what the default network finds in frames of vtest.avi,
computed plainly in floats, with nothing of the product.

usage: reference.py vtest.avi coco-nano-f32.onnx > reference.json
needs ffmpeg, numpy and onnxruntime (recorded with onnxruntime 1.31.1, ffmpeg 5.1)

The picture is converted from YUV (BT.601, limited range, chroma sited in the
center), scaled bilinearly without antialiasing, put in the middle of 416x320 on
black, normalized; the network runs in 32-bit floats; boxes are decoded and
suppressed class by class above an overlap of 0.5, except that car, truck and bus
are one class there.
"""
import json
import subprocess
import sys

import numpy as np
import onnxruntime

W, H, NET_W, NET_H = 768, 576, 416, 320
FRAMES = (0, 200, 400, 600)
THRESHOLD, OVERLAP, BINS = 0.3, 0.5, 11
MEAN, STD = np.array([103.53, 116.28, 123.675]), np.array([57.375, 57.12, 58.395])
VEHICLES = {2, 5, 7}


def picture(video, index):
    """The planes Y, U, V of one frame."""
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", video, "-vf", f"select=eq(n\\,{index})", "-frames:v", "1", "-f", "rawvideo",
         "-pix_fmt", "yuv420p", "-"], check=True, capture_output=True).stdout
    data = np.frombuffer(raw, np.uint8).astype(float)
    y, rest = data[:W * H].reshape(H, W), data[W * H:]
    u, v = rest.reshape(2, H // 2, W // 2)
    return y, u, v


def sample(plane, xs, ys):
    """Bilinear samples of a plane at the crossings of columns xs and rows ys, edges repeated."""
    h, w = plane.shape
    xs, ys = np.clip(xs, 0, w - 1), np.clip(ys, 0, h - 1)
    x0, y0 = np.floor(xs).astype(int), np.floor(ys).astype(int)
    x1, y1 = np.minimum(x0 + 1, w - 1), np.minimum(y0 + 1, h - 1)
    fx, fy = xs - x0, (ys - y0)[:, None]
    top = plane[y0][:, x0] * (1 - fx) + plane[y0][:, x1] * fx
    low = plane[y1][:, x0] * (1 - fx) + plane[y1][:, x1] * fx
    return top * (1 - fy) + low * fy


def network_input(y, u, v):
    ratio = min(NET_W / W, NET_H / H)
    w, h = round(W * ratio), round(H * ratio)
    left, top = (NET_W - w) // 2, (NET_H - h) // 2
    xs, ys = (np.arange(w) + 0.5) * W / w, (np.arange(h) + 0.5) * H / h
    luma = (sample(y, xs - 0.5, ys - 0.5) - 16) * 255 / 219
    blue, red = ((sample(c, xs / 2 - 0.5, ys / 2 - 0.5) - 128) * 255 / 224 for c in (u, v))
    bgr = np.stack([luma + 1.772 * blue, luma - 0.344136 * blue - 0.714136 * red, luma + 1.402 * red], -1)
    slot = np.zeros((NET_H, NET_W, 3))
    slot[top:top + h, left:left + w] = np.clip(np.round(bgr), 0, 255)
    return ((slot - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32), w / W, h / H, left, top


def candidates(outputs):
    for stride in (8, 16, 32):
        scores, bins = outputs[f"cls{stride}"][0].astype(float), outputs[f"reg{stride}"][0].astype(float)
        columns = NET_W // stride
        for cell in np.flatnonzero(scores.max(1) >= THRESHOLD):
            label = int(scores[cell].argmax())
            weights = np.exp(bins[cell].reshape(4, BINS))
            sides = (weights * np.arange(BINS)).sum(1) / weights.sum(1) * stride
            x, y = (cell % columns + 0.5) * stride, (cell // columns + 0.5) * stride
            yield scores[cell, label], label, (x - sides[0], y - sides[1], x + sides[2], y + sides[3])


def overlap(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def suppress(found):
    kept = []
    for score, label, box in sorted(found, key=lambda f: -f[0]):
        same = lambda other: other == label or {other, label} <= VEHICLES
        if all(not same(k[1]) or overlap(k[2], box) <= OVERLAP for k in kept):
            kept.append((score, label, box))
    return kept


def main():
    video, model = sys.argv[1:]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = json.loads(session.get_modelmeta().custom_metadata_map["names"])
    result = {"provenance": "made by reference.py", "threshold": THRESHOLD, "network": f"{NET_W}x{NET_H}", "frames": []}
    for index in FRAMES:
        tensor, scale_x, scale_y, left, top = network_input(*picture(video, index))
        values = session.run(None, {"images": tensor})
        outputs = dict(zip((o.name for o in session.get_outputs()), values))
        boxes = []
        for score, label, (x1, y1, x2, y2) in suppress(candidates(outputs)):
            place = [(x1 - left) / scale_x / W, (y1 - top) / scale_y / H, (x2 - x1) / scale_x / W, (y2 - y1) / scale_y / H]
            boxes.append({"class": names[label], "score": round(score, 5), "box": [round(p, 6) for p in place]})
        result["frames"].append({"index": index, "boxes": boxes})
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
