"""Makes a network with an operator that cannot be run or changed: operators.py KIND FAMILY PATH."""
import sys

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def value(name, dims=None, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, dims)


def branch(name):
    return helper.make_graph([helper.make_node("Identity", ["a"], [name])], name, [], [value(name)])


def body():
    nodes = [helper.make_node("Identity", [a], [b]) for a, b in (("go", "on"), ("in", "out"))]
    inputs = [value("turn", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("in")]
    return helper.make_graph(nodes, "body", inputs, [value("on", [], TensorProto.BOOL), value("out")])


KINDS = {
    "custom": lambda: [helper.make_node("FancyPool", ["a"], ["b"], name="fancy_7", domain="acme.ops")],
    "plain": lambda: [helper.make_node("FancyPool", ["a"], ["b"], name="fancy_7")],
    "double": lambda: [
        helper.make_node("Cast", ["a"], ["d"], to=TensorProto.DOUBLE),
        helper.make_node("Conv", ["d", "wide"], ["e"], name="late"),
        helper.make_node("Cast", ["e"], ["b"], to=FLOAT),
    ],
    "If": lambda: [helper.make_node("If", ["yes"], ["b"], name="if_3", then_branch=branch("c"), else_branch=branch("d"))],
    "Loop": lambda: [helper.make_node("Loop", ["", "yes", "a"], ["b"], name="loop_3", body=body())],
}
kind, family, path = sys.argv[1:]
first = [helper.make_node("Conv", ["x", "narrow"], ["v"], name="early"), helper.make_node("Relu", ["v"], ["a"])]
weights = {"yes": numpy.array(True), "narrow": numpy.ones((6, 3, 1, 1), "f4"), "wide": numpy.ones((6, 6, 1, 1), "f8")}
graph = helper.make_graph(
    first + KINDS[kind](), "g", [value("x", [1, 3, 32, 32])], [value("b", [1, 6, 21] if family == "yolov8" else [1, 6, 32, 32])],
    [numpy_helper.from_array(w, name) for name, w in weights.items()])
model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("acme.ops", 1)])
if family == "yolov8":
    helper.set_model_props(model, {"names": '["a", "b"]'})
onnx.save(model, path)
