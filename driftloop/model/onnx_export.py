"""Exports a torch module as a release's ``model.onnx``: strings as input, every transform inside.

torch exports the numeric function. A preamble of ``ai.onnx.ml`` LabelEncoders maps strings to the codes of its
embeddings. The two graphs are merged.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import onnx
import torch
from onnx import TensorProto, compose, helper

OPSET = 17
ML_OPSET = 3
UNKNOWN = 0
"""Code of a string that is not in the vocabulary; the i-th word has code i + 1."""
_CODES = "codes"


def encode(vocabulary: Sequence[str], words: Sequence[str]) -> list[int]:
    """Return the codes of words, as the exported graph computes them."""
    code = {word: index + 1 for index, word in enumerate(vocabulary)}
    return [code.get(word, UNKNOWN) for word in words]


def export(module: torch.nn.Module, *, numeric: int, vocabularies: Sequence[Sequence[str]]) -> bytes:
    """Return a bundle's model, serialised.

    Args:
        module: maps ``numeric`` float64 [n, F] and, if there are vocabularies, ``codes`` int64 [n, C] to float64
            [n, 1], or [n, K] for K classes. It is in evaluation mode, with parameters and buffers in double precision.
        numeric: F.
        vocabularies: known words of each of the C string columns, in code order.

    Returns:
        An ONNX model with inputs ``numeric`` float64 [n, F] and, if C > 0, ``categorical`` string [n, C], and the
        output ``score`` float64 in the module's shape.

    Raises:
        onnx.checker.ValidationError: the merged graph is not a valid model.
    """
    graph = _export_numbers(module, numeric, len(vocabularies))
    if vocabularies:
        preamble = _preamble(vocabularies, graph.ir_version)
        graph = compose.merge_models(preamble, graph, io_map=[(_CODES, _CODES)])
    ordered = sorted(graph.graph.input, key=lambda value: value.name != "numeric")
    del graph.graph.input[:]
    graph.graph.input.extend(ordered)
    graph.producer_name, graph.producer_version, graph.doc_string = "driftloop", "", ""
    onnx.checker.check_model(graph, full_check=True)
    return bytes(graph.SerializeToString(deterministic=True))


def _export_numbers(module: torch.nn.Module, numeric: int, categorical: int) -> onnx.ModelProto:
    example: tuple[torch.Tensor, ...] = (torch.zeros(2, numeric, dtype=torch.float64),)
    names = ["numeric"]
    if categorical:
        example, names = (*example, torch.zeros(2, categorical, dtype=torch.int64)), [*names, _CODES]
    target = io.BytesIO()
    with warnings.catch_warnings():
        # torch deprecates the tracing exporter, but it takes 0.2 s; the new one takes seconds for the same graph.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            module,
            example,
            target,  # type: ignore[arg-type]  # a file object is taken too
            input_names=names,
            output_names=["score"],
            dynamic_axes={name: {0: "n"} for name in (*names, "score")},
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.load_from_string(target.getvalue())


def _preamble(vocabularies: Sequence[Sequence[str]], ir_version: int) -> onnx.ModelProto:
    """Map ``categorical`` string [n, C] to ``codes`` int64 [n, C], with one vocabulary per column."""
    columns = [f"column_{index}" for index in range(len(vocabularies))]
    words = [f"{name}_words" for name in columns]
    nodes = [helper.make_node("Split", ["categorical", "each"], words, axis=1)]
    for name, source, vocabulary in zip(columns, words, vocabularies, strict=True):
        nodes.append(
            helper.make_node(
                "LabelEncoder",
                [source],
                [name],
                domain="ai.onnx.ml",
                keys_strings=list(vocabulary),
                values_int64s=list(range(1, len(vocabulary) + 1)),
                default_int64=UNKNOWN,
            )
        )
    nodes.append(helper.make_node("Concat", columns, [_CODES], axis=1))
    sizes = helper.make_tensor("each", TensorProto.INT64, [len(columns)], [1] * len(columns))
    graph = helper.make_graph(
        nodes,
        "vocabulary",
        [helper.make_tensor_value_info("categorical", TensorProto.STRING, ["n", len(columns)])],
        [helper.make_tensor_value_info(_CODES, TensorProto.INT64, ["n", len(columns)])],
        [sizes],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)
