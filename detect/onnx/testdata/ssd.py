#!/usr/bin/env python3
"""A MobileNet-SSD with seeded random weights, and what plain onnxruntime sees with one.

usage: ssd.py make OUT.onnx
       ssd.py look MODEL.onnx LUMA WIDTH HEIGHT THRESHOLD

make: depthwise and pointwise convolutions with normalizations and Clip, heads at strides
16 and 32, priors decoded in the graph; outputs as pytorch-ssd's exports have them. look:
LUMA is gray pictures of WIDTH x HEIGHT bytes in BT.601's limited range, one after the
other, WIDTH and HEIGHT being whole multiples of the network's (each pixel is the mean of
the two in the middle, which is what linear interpolation gives for even ones). Prints
JSON: for each picture its boxes [class, score, x, y, width, height] in 0..1, best first.
"""
import json
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIZE, CLASSES, EACH = 160, ["person", "car", "dog"], 3


class Network:
    def __init__(self):
        self.rng = np.random.default_rng(11)
        self.nodes, self.constants = [], []

    def constant(self, value, dtype=np.float32):
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op, *inputs, out=None, **attributes):
        out = out or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [out], name=out, **attributes))
        return out

    def conv(self, x, ins, outs, kernel, stride=1, groups=1, gain=1.0):
        shape = (outs, ins // groups, kernel, kernel)
        weights = self.rng.normal(size=shape) * gain * np.sqrt(2 / np.prod(shape[1:]))
        bias = self.rng.normal(size=outs) * 0.1
        return self.node("Conv", x, self.constant(weights), self.constant(bias), kernel_shape=[kernel] * 2,
                         pads=[kernel // 2] * 4, strides=[stride] * 2, group=groups)

    def normal(self, x, channels):
        def vary(middle):
            return self.constant(middle + self.rng.uniform(-0.2, 0.2, channels))
        x = self.node("BatchNormalization", x, vary(1), vary(0.3), vary(0), vary(1))
        return self.node("Clip", x, self.constant(0), self.constant(6))

    def block(self, x, ins, outs, stride):
        x = self.normal(self.conv(x, ins, ins, 3, stride, ins), ins)
        return self.normal(self.conv(x, ins, outs, 1), outs)

    def rows(self, x, channels, values, gain):
        """A head: values for each prior, cell by cell."""
        x = self.conv(x, channels, EACH * values, 3, gain=gain)
        return self.node("Reshape", self.node("Transpose", x, perm=[0, 2, 3, 1]), self.constant([1, -1, values], np.int64))

    def part(self, x, start, end):
        return self.node("Slice", x, *(self.constant([v], np.int64) for v in (start, end, 2)))


def priors():
    out = []
    for stride in (16, 32):
        cells = SIZE // stride
        for y in range(cells):
            for x in range(cells):
                for w, h in ((1, 1), (1.5, 0.75), (0.75, 1.5)):
                    out.append([(x + 0.5) / cells, (y + 0.5) / cells, w * 2.5 * stride / SIZE, h * 2.5 * stride / SIZE])
    return np.asarray([out])


def make(path):
    n, known = Network(), priors()
    x = n.normal(n.conv("input_0", 3, 16, 3, 2), 16)
    for ins, outs, stride in ((16, 32, 1), (32, 64, 2), (64, 64, 1), (64, 64, 2)):
        x = n.block(x, ins, outs, stride)
    fine = n.block(x, 64, 96, 2)
    coarse = n.block(n.block(fine, 96, 96, 1), 96, 128, 2)
    scores, places = [], []
    for x, channels in ((fine, 96), (coarse, 128)):
        scores.append(n.rows(x, channels, 1 + len(CLASSES), 2.0))
        places.append(n.rows(x, channels, 4, 0.5))
    n.node("Softmax", n.node("Concat", *scores, axis=1), axis=2, out="scores")
    at = n.node("Concat", *places, axis=1)
    center = n.node("Mul", n.node("Mul", n.part(at, 0, 2), n.constant(0.1)), n.constant(known[..., 2:]))
    center = n.node("Add", center, n.constant(known[..., :2]))
    half = n.node("Exp", n.node("Mul", n.part(at, 2, 4), n.constant(0.2)))
    half = n.node("Div", n.node("Mul", half, n.constant(known[..., 2:])), n.constant(2))
    n.node("Concat", n.node("Sub", center, half), n.node("Add", center, half), axis=2, out="boxes")
    tensor, many = TensorProto.FLOAT, known.shape[1]
    graph = helper.make_graph(
        n.nodes, "ssd", [helper.make_tensor_value_info("input_0", tensor, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("scores", tensor, [1, many, 1 + len(CLASSES)]),
         helper.make_tensor_value_info("boxes", tensor, [1, many, 4])], n.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    model.metadata_props.add(key="names", value=json.dumps(CLASSES))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def smaller(picture, size):
    """The mean of the two samples in the middle of each step, along the last axis."""
    step = picture.shape[-1] // size
    if step == 1:
        return picture
    return (picture[..., step // 2 - 1::step] + picture[..., step // 2::step]) / 2


def overlap(a, b):
    left, right = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    both = np.prod(np.maximum(right - left, 0))
    return both / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both)


def look(path, luma, width, height, threshold):
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = []
    for picture in np.fromfile(luma, np.uint8).reshape(-1, height, width).astype(np.float64):
        gray = np.clip((picture - 16) * 255 / 219, 0, 255)
        gray = smaller(smaller(gray, SIZE).T, SIZE).T
        x = ((np.stack([gray] * 3) - 127) / 128).astype(np.float32)[None]
        scores, boxes = session.run(["scores", "boxes"], {"input_0": x})
        kept = []
        best = scores[0, :, 1:].max(1)
        for i in np.argsort(-best, kind="stable"):
            cls = int(scores[0, i, 1:].argmax())
            if best[i] >= threshold and all(k[0] != cls or overlap(boxes[0, i], k[2]) <= 0.5 for k in kept):
                kept.append((cls, float(best[i]), boxes[0, i].astype(np.float64)))
        found.append([[CLASSES[c], s, b[0], b[1], b[2] - b[0], b[3] - b[1]] for c, s, b in kept])
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    else:
        look(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6]))
