#!/usr/bin/env python3
"""Makes model files of other families from NanoDet's weights, for the tests.

usage: testmodels.py coco-nano-f32.onnx OUTDIR

All take float NCHW 416x416, N free, and find what coco-nano finds; A = 3549 cells.
yolov8.onnx  RGB 0..1; [N, 84, A]: center x, center y, width, height in pixels, 80 scores; Ultralytics' metadata
yolov5.onnx  RGB 0..1; [N, A, 85]: the same box, objectness (always 1), 80 scores; YOLOv5's metadata
yolox.onnx   BGR 0..255; [N, A, 85]: center relative to its cell and size as logarithm, both in strides,
             objectness (always 1), 80 scores; no metadata
"""
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from coco import MEAN, NAMES, STD

SIZE, STRIDES, BINS = 416, (8, 16, 32), 11
CELLS = sum((SIZE // s) ** 2 for s in STRIDES)


class Graph:
    """A copy of the network under construction: nodes go before it or after it."""

    def __init__(self, source):
        self.model = onnx.load(source)
        self.graph = self.model.graph
        self.before, self.after, self.target, self.count = [], [], None, 0
        del self.model.metadata_props[:]
        del self.graph.input[:], self.graph.output[:], self.graph.value_info[:]

    def constant(self, value, dtype=np.float32):
        self.count += 1
        name = f"test_constant_{self.count}"
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def emit(self, op, inputs, outputs=1, name=None, **attributes):
        self.count += 1
        out = [name or f"test_{op.lower()}_{self.count}_{i}" for i in range(outputs)]
        self.target.append(helper.make_node(op, inputs, out, **attributes))
        return out[0] if outputs == 1 else out

    def rgb(self):
        """Input `pixels`, RGB 0..1, to the network's normalized BGR."""
        self.target = self.before
        x = self.emit("Gather", ["pixels", self.constant([2, 1, 0], np.int64)], axis=1)
        self.normalize(self.emit("Mul", [x, self.constant(255)]))

    def normalize(self, x):
        x = self.emit("Sub", [x, self.constant(MEAN.reshape(1, 3, 1, 1))])
        self.emit("Mul", [x, self.constant((1 / STD).reshape(1, 3, 1, 1))], name="images")

    def decode(self):
        """Centers and sizes in pixels [N, A, 2] and scores [N, A, 80] of all strides."""
        self.target = self.after
        scores = self.emit("Concat", [f"cls{s}" for s in STRIDES], axis=1)
        bins = self.emit("Concat", [f"reg{s}" for s in STRIDES], axis=1)
        bins = self.emit("Reshape", [bins, self.constant([0, CELLS, 4, BINS], np.int64)])
        sides = self.emit("MatMul", [self.emit("Softmax", [bins], axis=-1), self.constant(np.arange(BINS).reshape(BINS, 1))])
        sides = self.emit("Reshape", [sides, self.constant([0, CELLS, 4], np.int64)])
        grid, stride = cells()
        sides = self.emit("Mul", [sides, self.constant(stride)])
        first, last = self.emit("Split", [sides, self.constant([2, 2], np.int64)], 2, axis=2)
        shift = self.emit("Mul", [self.emit("Sub", [last, first]), self.constant(0.5)])
        center = self.emit("Add", [shift, self.constant((grid + 0.5) * stride)])
        return center, self.emit("Add", [first, last]), scores

    def ones(self, scores):
        """An objectness of 1 for each cell."""
        first = self.emit("Slice", [scores, self.constant([0], np.int64), self.constant([1], np.int64), self.constant([2], np.int64)])
        return self.emit("Add", [self.emit("Mul", [first, self.constant(0)]), self.constant(1)])

    def save(self, path, source, output, dims, **metadata):
        """Renames the ends (`source` stays inside), and writes the file."""
        nodes = self.before + list(self.graph.node) + self.after
        for node in nodes:
            swap = {"images": "normalized", "pixels": "images"}
            node.input[:] = [swap.get(i, i) for i in node.input]
            node.output[:] = [swap.get(o, o) if o != source else output for o in node.output]
        del self.graph.node[:]
        self.graph.node.extend(nodes)
        self.graph.input.append(helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, SIZE, SIZE]))
        self.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", *dims]))
        helper.set_model_props(self.model, metadata)
        onnx.checker.check_model(self.model, full_check=True)
        Path(path).write_bytes(self.model.SerializeToString(deterministic=True))


def cells():
    """Column and row of each cell, stride after stride, and its stride."""
    grids, strides = [], []
    for s in STRIDES:
        rows, columns = np.mgrid[: SIZE // s, : SIZE // s]
        grids.append(np.stack([columns.ravel(), rows.ravel()], 1))
        strides.append(np.full((rows.size, 1), s))
    return np.concatenate(grids)[None].astype(np.float32), np.concatenate(strides)[None].astype(np.float32)


def yolov8(source, out):
    g = Graph(source)
    g.rgb()
    center, size, scores = g.decode()
    rows = g.emit("Transpose", [g.emit("Concat", [center, size, scores], axis=2)], perm=[0, 2, 1])
    g.save(out / "yolov8.onnx", rows, "output0", [84, CELLS], description="Ultralytics YOLOv8n model", author="Ultralytics", version="8.3.0",
           task="detect", stride="32", batch="1", imgsz=f"[{SIZE}, {SIZE}]", names=str(dict(enumerate(NAMES))), channels="3",
           args="{'batch': 1, 'half': False, 'dynamic': True, 'simplify': True, 'opset': 17, 'nms': False}")


def yolov5(source, out):
    g = Graph(source)
    g.rgb()
    center, size, scores = g.decode()
    rows = g.emit("Concat", [center, size, g.ones(scores), scores], axis=2)
    g.save(out / "yolov5.onnx", rows, "output0", [CELLS, 85], stride="32", names=str(dict(enumerate(NAMES))))


def yolox(source, out):
    g = Graph(source)
    g.target = g.before
    g.normalize("pixels")
    center, size, scores = g.decode()
    grid, stride = cells()
    center = g.emit("Sub", [g.emit("Div", [center, g.constant(stride)]), g.constant(grid)])
    size = g.emit("Div", [g.emit("Max", [size, g.constant(1e-3)]), g.constant(stride)])
    rows = g.emit("Concat", [center, g.emit("Log", [size]), g.ones(scores), scores], axis=2)
    g.save(out / "yolox.onnx", rows, "output", [CELLS, 85])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    for make in (yolov8, yolov5, yolox):
        make(sys.argv[1], Path(sys.argv[2]))
