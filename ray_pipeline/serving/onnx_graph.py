"""A bundle as a graph of ONNX: encoder, trees, calibration, decision.

Each feature is one input of shape (rows,): a number as double, a time as double (days since 1970 in UTC), a category as
text. NaN is a missing number or time, the empty text a missing category.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from ray_pipeline.bundle import Bundle
from ray_pipeline.components.calibrators._base import TINY
from ray_pipeline.components.choice import name_of
from ray_pipeline.components.column_encodings._base import Encoding
from ray_pipeline.components.column_encodings.number import Number
from ray_pipeline.serving.onnx_trees import Trees

OPSET, ML_OPSET = 21, 5
ML = "ai.onnx.ml"
IR_VERSION = 10


class NotExportable(ValueError):
    """A part of the bundle has no form in ONNX."""


@dataclass
class Graph:
    """Nodes and constants, added one after the other."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, op: str, *inputs: str, name: str | None = None, domain: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        from onnx.helper import make_node

        output = name or f"v{len(self.nodes)}"
        self.nodes.append(make_node(op, list(inputs), [output], domain=domain, **attributes))
        return output

    def constant(self, value: Any, type_: Any = np.float64) -> str:
        """Add a constant and return its name."""
        from onnx.numpy_helper import from_array

        name = f"c{len(self.constants)}"
        self.constants.append(from_array(np.asarray(value, dtype=type_), name))
        return name

    def interpolated(self, x: str, xs: Any, ys: Any) -> str:
        """Piecewise linear between points, constant outside of them; `x` has shape (rows,)."""
        xs, ys = np.asarray(xs, np.float64), np.asarray(ys, np.float64)
        if len(xs) == 1:
            return self.add("Add", self.add("Mul", x, self.constant(0.0)), self.constant(ys[0]))
        low, high = self.constant(xs[:-1]), self.constant(xs[1:])
        column = self.add("Unsqueeze", x, self.constant([1], np.int64))
        within = self.add("Sub", self.add("Min", self.add("Max", column, low), high), low)
        steps = self.add("Mul", within, self.constant(np.diff(ys) / np.diff(xs)))
        total = self.add("ReduceSum", steps, self.constant([1], np.int64), keepdims=0)
        return self.add("Add", total, self.constant(ys[0]))


def model_of(bundle: Bundle, trees: Trees) -> Any:
    """Return the ONNX model of a bundle with these trees.

    Raises
    ------
    NotExportable
        An encoding or a calibrator has no form in ONNX.
    """
    from onnx import TensorProto, helper

    graph = Graph()
    inputs, columns = [], list[str]()
    for encoding in bundle.encoder.encoded:
        type_ = TensorProto.STRING if encoding.kind == "category" else TensorProto.DOUBLE
        inputs.append(helper.make_tensor_value_info(encoding.name, type_, ["rows"]))
        encode = _number if isinstance(encoding, Number) else _category
        columns += encode(graph, encoding)
    one = graph.constant([1], np.int64)
    matrix = graph.add("Concat", *(graph.add("Unsqueeze", column, one) for column in columns), axis=1)
    sums = graph.add("TreeEnsemble", matrix, domain=ML, **trees.attributes)
    margin = graph.add("Add", sums, graph.constant(trees.margin, np.float32))
    raw = graph.add("Cast", graph.add(trees.link, margin), to=TensorProto.DOUBLE)
    if len(trees.margin) == 1:
        raw = graph.add("Squeeze", raw, one)
    score = graph.add("Identity", _calibrated(graph, raw, bundle), name="score")
    shape: list[str | int] = ["rows"] if len(trees.margin) == 1 else ["rows", len(trees.margin)]
    outputs = [("score", TensorProto.DOUBLE, shape), *_decision(graph, score, bundle)]
    made = helper.make_graph(
        graph.nodes,
        "ray_pipeline",
        inputs,
        [helper.make_tensor_value_info(*output) for output in outputs],
        graph.constants,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
    model = helper.make_model(made, opset_imports=opsets, producer_name="ray-pipeline", ir_version=IR_VERSION)
    helper.set_model_props(model, {"bundle": bundle.fingerprint, "task": bundle.schema["task"]})
    return model


def _number(graph: Graph, of: Encoding) -> list[str]:
    """A number or a time, as `Number.encode` makes it."""
    from onnx import TensorProto

    assert isinstance(of, Number)
    infinite = graph.add("IsInf", of.name)
    absent = graph.add("Or", infinite, graph.add("IsNaN", of.name))
    nan = graph.constant(np.nan)
    x = graph.add("Where", infinite, nan, of.name)
    if of.offset:
        x = graph.add("Sub", x, graph.constant(of.offset))
    if of.log:
        size = graph.add("Log", graph.add("Add", graph.add("Abs", x), graph.constant(1.0)))
        x = graph.add("Mul", graph.add("Sign", x), size)
    elif of.knots:
        x = graph.add("Where", absent, nan, graph.interpolated(x, of.knots, of.quantiles))
    elif (of.centre, of.width) != (0.0, 1.0):
        x = graph.add("Div", graph.add("Sub", x, graph.constant(of.centre)), graph.constant(of.width))
    single = graph.add("Cast", x, to=TensorProto.FLOAT)
    lost = graph.add("Or", graph.add("IsInf", single), graph.add("IsNaN", single))
    missing = np.nan if of.missing is None else of.missing
    if of.most is not None:
        single = graph.add("Min", single, graph.constant(of.most, np.float32))
    single = graph.add("Where", lost, graph.constant(missing, np.float32), single)
    return [single, graph.add("Cast", absent, to=TensorProto.FLOAT)] if of.flagged else [single]


def _category(graph: Graph, of: Encoding) -> list[str]:
    """A category as one lookup for each column of the matrix, filled by the encoding itself."""
    known = getattr(of, "categories", None)
    if of.kind != "category" or known is None:
        raise NotExportable(f"column {of.name!r} is encoded as {name_of(type(of))}, which has no form in ONNX")
    if "" in known:
        raise NotExportable(f"column {of.name!r} has the empty text as a category, which stands for a missing value")
    unseen = "?"
    while unseen in known:
        unseen += "?"
    rows = of.encode(pa.chunked_array([pa.array([*known, unseen, None], pa.string())]), None).astype(np.float32)
    return [
        graph.add(
            "LabelEncoder",
            of.name,
            domain=ML,
            keys_strings=[*known, ""],
            values_floats=[*values[:-2].tolist(), float(values[-1])],
            default_float=float(values[-2]),
        )
        for values in rows.T
    ]


def _calibrated(graph: Graph, raw: str, bundle: Bundle) -> str:
    """The calibrated score of a raw one."""
    kind = name_of(type(bundle.calibrator))
    if kind == "none":
        return raw
    if bundle.schema["task"] != "binary" or kind not in CALIBRATORS:
        raise NotExportable(f"the calibration {kind} of a {bundle.schema['task']} model has no form in ONNX")
    return CALIBRATORS[kind](graph, raw, bundle.calibrator)


def _log_odds(graph: Graph, p: str) -> str:
    kept = graph.add("Clip", p, graph.constant(TINY), graph.constant(1 - TINY))
    rest = graph.add("Sub", graph.constant(1.0), kept)
    return graph.add("Sub", graph.add("Log", kept), graph.add("Log", rest))


def _by_sigmoid(graph: Graph, p: str, of: Any) -> str:
    odds = graph.add("Mul", _log_odds(graph, p), graph.constant(of.slope[0]))
    return graph.add("Sigmoid", graph.add("Add", odds, graph.constant(of.offset[0])))


def _by_temperature(graph: Graph, p: str, of: Any) -> str:
    return graph.add("Sigmoid", graph.add("Div", _log_odds(graph, p), graph.constant(of.temperature)))


def _by_isotonic(graph: Graph, p: str, of: Any) -> str:
    return graph.interpolated(p, of.score[0], of.probability[0])


CALIBRATORS: Mapping[str, Callable[[Graph, str, Any], str]] = {
    "sigmoid": _by_sigmoid,
    "temperature": _by_temperature,
    "isotonic": _by_isotonic,
}


def _decision(graph: Graph, score: str, bundle: Bundle) -> list[tuple[str, int, list[str | int]]]:
    """The decision as a second output; none for a regression."""
    from onnx import TensorProto

    if bundle.schema["task"] == "binary":
        threshold = bundle.schema["threshold"]
        selected = graph.add("GreaterOrEqual", score, graph.constant(0.5 if threshold is None else threshold))
        graph.add("Cast", selected, name="decision", to=TensorProto.INT64)
        return [("decision", TensorProto.INT64, ["rows"])]
    if bundle.schema["task"] == "multiclass":
        best = graph.add("ArgMax", score, axis=1, keepdims=0)
        classes = np.array([str(one) for one in bundle.schema["classes"]], object)
        graph.add("Gather", graph.constant(classes, object), best, name="decision", axis=0)
        return [("decision", TensorProto.STRING, ["rows"])]
    return []
