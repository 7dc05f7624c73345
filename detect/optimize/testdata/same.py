#!/usr/bin/env python3
"""Tells how far two NanoDet networks differ, computed by plain onnxruntime.

usage: same.py original.onnx optimized.onnx SIZE...   (SIZE is WIDTHxHEIGHT)

The optimized one has its last convolutions as outputs, and perhaps fewer classes:
its outputs become the original's here, by numpy. Prints JSON: the largest difference
of a score and of a bin on seeded noise and on a smooth picture, and the numbers of
values compared. Fails when onnx's checker does not accept the optimized file.
"""
import json
import sys

import numpy as np
import onnx
import onnxruntime


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def labels(path):
    return json.loads({p.key: p.value for p in onnx.load(path).metadata_props}["names"])


def pictures(width, height):
    noise = np.random.default_rng(7).integers(0, 256, (1, height, width, 3), np.uint8)
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([(x + y) % 256, x * 255 // width, y * 255 // height], -1)[None].astype(np.uint8)
    return noise, smooth


def main():
    original, optimized, *sizes = sys.argv[1:]
    onnx.checker.check_model(onnx.load(optimized), full_check=True)
    known = labels(original)
    rows = [known.index(name) for name in labels(optimized)]
    a, b = session(original), session(optimized)
    result = {"score": 0.0, "bin": 0.0, "values": 0}
    for size in sizes:
        for picture in pictures(*map(int, size.split("x"))):
            was = dict(zip([o.name for o in a.get_outputs()], a.run(None, {a.get_inputs()[0].name: picture})))
            now = dict(zip([o.name for o in b.get_outputs()], b.run(None, {b.get_inputs()[0].name: picture})))
            for stride in (8, 16, 32):
                head = now[f"head{stride}"]
                head = head.reshape(1, head.shape[1], -1).transpose(0, 2, 1)
                scores, bins = 1 / (1 + np.exp(-head[..., :len(rows)])), head[..., len(rows):]
                result["score"] = max(result["score"], float(np.abs(scores - was[f"cls{stride}"][..., rows]).max()))
                result["bin"] = max(result["bin"], float(np.abs(bins - was[f"reg{stride}"]).max()))
                result["values"] += scores.size + bins.size
    print(json.dumps(result))


main()
