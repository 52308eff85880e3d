"""ONNX models trained and exported by other libraries, each with its library's own scores.

All read the columns `reading`, `size` and, if mentioned, the string `place`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CLASSES = ("high", "low", "middle")
"""Sorted as scikit-learn sorts them."""


@dataclass(frozen=True)
class Exported:
    """The bytes of a model, and a function from rows to its library's scores: float64 [n], or [n, K]."""

    onnx: bytes
    scores: Callable[[Floats, NDArray[np.object_]], Floats]


def rows(count: int = 400, seed: int = 0) -> tuple[Floats, NDArray[np.object_], Floats]:
    """Return `numeric` float64 [n, 2], `place` object [n] and a signal float64 [n] that depends on both."""
    random = np.random.default_rng(seed)
    numeric = random.normal(size=(count, 2))
    place = random.choice(np.array(["north", "south"], dtype=object), count)
    signal = 1.5 * numeric[:, 0] + numeric[:, 1] + 0.7 * (place == "north") + random.normal(scale=0.5, size=count)
    return numeric, place, signal


def labels(kind: str, signal: Floats) -> NDArray[Any]:
    """Return outcomes of a label kind that depend on the signal."""
    if kind == "binary":
        return (signal > 0).astype(np.int64)
    if kind == "multiclass":
        return np.array(CLASSES)[np.digitize(-signal, [-1.0, 1.0])]
    return np.round(np.exp(signal / 2)) if kind == "count" else 10.0 + signal


def sklearn_matrix(kind: str, *, zipmap: bool = True) -> Exported:
    """Return a model with one input matrix float [n, 2] and no column names."""
    from skl2onnx import to_onnx

    numeric, _, signal = rows()
    model = _sklearn(kind).fit(numeric.astype(np.float32), labels(kind, signal))
    options = {id(model): {"zipmap": zipmap}} if kind in ("binary", "multiclass") else None
    exported = to_onnx(model, numeric[:1].astype(np.float32), options=options)
    return Exported(exported.SerializeToString(), lambda x, _: _scores(model, x.astype(np.float32)))


def sklearn_pipeline(
    dtype: str = "float32", export: Callable[[Any, Any], Any] = lambda model, frame: _to_onnx(model, frame[:1])
) -> Exported:
    """Return a classifier with named columns, including strings, that imputes missing values itself.

    ``dtype``: type of the numbers that it is fitted on. ``export`` takes the model and its data frame.
    """
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def frame(numeric: Floats, place: NDArray[np.object_]) -> Any:
        numbers = numeric.astype(dtype)
        return pd.DataFrame({"reading": numbers[:, 0], "size": numbers[:, 1], "place": place})

    numeric, place, signal = rows()
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("numbers", numbers, ["reading", "size"]), ("words", words, ["place"])])
    model = make_pipeline(columns, LogisticRegression()).fit(frame(numeric, place), labels("binary", signal))
    exported = export(model, frame(numeric, place))
    return Exported(exported.SerializeToString(), lambda x, w: _scores(model, frame(x, w)))


def _to_onnx(model: Any, sample: Any) -> Any:
    from skl2onnx import to_onnx

    return to_onnx(model, sample)


def sklearn_counts(size: Floats, place: NDArray[np.object_], outcome: Floats) -> Exported:
    """Fit a count regression on the named columns `size` float64 [n, 1] and `place`."""
    import pandas as pd
    from skl2onnx import to_onnx
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    def frame(numeric: Floats, place: NDArray[np.object_]) -> Any:
        return pd.DataFrame({"size": numeric[:, 0].astype(np.float32), "place": place})

    known = frame(size[:, None], place)
    columns = ColumnTransformer(
        [("numbers", "passthrough", ["size"]), ("words", OneHotEncoder(handle_unknown="ignore"), ["place"])]
    )
    model = make_pipeline(columns, _sklearn("count")).fit(known, outcome)
    return Exported(to_onnx(model, known[:1]).SerializeToString(), lambda x, w: _scores(model, frame(x, w)))


def xgboost_matrix(kind: str) -> Exported:
    """Return trees with one input matrix float [n, 2]. They accept missing values."""
    numeric, _, signal = rows()
    target = labels(kind, signal)
    return xgboost_on(kind, numeric, np.searchsorted(CLASSES, target) if kind == "multiclass" else target)


def xgboost_on(kind: str, numeric: Floats, target: NDArray[Any]) -> Exported:
    """Fit trees on a matrix float [n, 2]."""
    import xgboost
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    maker = xgboost.XGBClassifier if kind in ("binary", "multiclass") else xgboost.XGBRegressor
    more = {"objective": "count:poisson"} if kind == "count" else {}
    model = maker(n_estimators=12, max_depth=3, nthread=1, **more).fit(numeric.astype(np.float32), target)
    exported = convert_xgboost(model, initial_types=[("features", FloatTensorType([None, 2]))])
    return Exported(exported.SerializeToString(), lambda x, _: _scores(model, x.astype(np.float32)))


def torch_matrix(outputs: int, *, fixed: bool = False) -> Exported:
    """Return a linear layer with one input matrix float [n, 2]. Its outputs may be logits."""
    import torch

    torch.manual_seed(3)
    layer = torch.nn.Linear(2, outputs).eval()
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1.0, 1.0, 2 * outputs).reshape(outputs, 2))
    target = io.BytesIO()
    axes = {} if fixed else {"features": {0: "rows"}, "value": {0: "rows"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            layer, (torch.zeros(1, 2),), target,  # type: ignore[arg-type]  # a file object is taken too
            input_names=["features"], output_names=["value"], dynamic_axes=axes, dynamo=False,
        )  # fmt: skip

    def scores(numeric: Floats, _: NDArray[np.object_]) -> Floats:
        with torch.no_grad():
            values = np.asarray(layer(torch.from_numpy(numeric.astype(np.float32))).numpy(), dtype=np.float64)
        return values[:, 0] if outputs == 1 else values

    return Exported(target.getvalue(), scores)


def _sklearn(kind: str) -> Any:
    from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
    from sklearn.linear_model import LinearRegression, LogisticRegression

    classifiers = {"binary": LogisticRegression(), "multiclass": RandomForestClassifier(20, random_state=0)}
    return {**classifiers, "regression": LinearRegression(), "count": GradientBoostingRegressor(n_estimators=10)}[kind]


def _scores(model: Any, columns: Any) -> Floats:
    if not hasattr(model, "predict_proba"):
        return np.asarray(model.predict(columns), dtype=np.float64)
    probabilities = np.asarray(model.predict_proba(columns), dtype=np.float64)
    return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities
