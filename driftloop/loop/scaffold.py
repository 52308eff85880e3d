"""Writes the files of a new loop: a valid, runnable example to be adapted."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from driftloop.loop import load_loop
from driftloop.loop.compile import compile_protos
from driftloop.loop.effects import span_text
from driftloop.loop.load import DESCRIPTORS
from driftloop.model.labels import LabelKind
from driftloop.process.errors import ConfigError

TEMPLATES = Path(__file__).parent / "templates" / "loop"

_NEWTON = """\
    added = 0.0
    for _ in range(20):
        score = 1 / (1 + np.exp(-(raw + added)))
        slope = max(float((score * (1 - score)).sum()), 1e-6)
        added += float(np.clip((label - score).sum() / slope, -1.0, 1.0))
    return added"""

CLASSES = ("good", "fair", "bad")
"""Classes of a new `multiclass` loop."""

_TEMPERATURE = """\
    beyond = raw - raw[np.arange(len(label)), label.astype(int)][:, None]
    low, high = -4.0, 4.0
    for _ in range(60):
        middle = (low + high) / 2
        weight = np.exp((beyond - beyond.max(1, keepdims=True)) / np.exp(middle))
        gradient = (beyond * weight / weight.sum(1, keepdims=True)).sum()
        low, high = (middle, high) if gradient > 0 else (low, middle)
    return (low + high) / 2"""

_ONE_SCORE = {
    "outputs": "1",
    "column": "[:, 0]",
    "label_type": "float32",
    "buffer": "shift",
    "calibration": "Shift all scores so that their mean over the validation rows is the labels'.",
    "found": "Return the number to add to raw scores [n], given the labels [n].",
    "settled": "outcome",
}
_SCORE_A_CLASS = {
    "outputs": "K",
    "column": "",
    "label_type": "int64",
    "buffer": "log_temperature",
    "calibration": "Warm or cool all scores to the least log loss over the validation rows.",
    "found": "Return the log temperature (Guo et al. 2017) of logits [n, K] by bisection; the loss has one minimum.",
    "settled": "ended_well",
}

_BY_KIND: MappingProxyType[LabelKind, dict[str, str]] = MappingProxyType(
    {
        "binary": _ONE_SCORE
        | {
            "description": "How likely is it that a case ends well?",
            "scores": "probabilities",
            "raw": "Logits",
            "score": "torch.sigmoid(self.raw(numeric, codes) + self.shift)",
            "loss": "functional.binary_cross_entropy_with_logits(raw, label[chosen])",
            "body": _NEWTON,
            "expected": "1 / (1 + np.exp(-2 * signal))",
            "drawn": "(random.random(len(expected)) < expected).astype(float)",
        },
        "regression": _ONE_SCORE
        | {
            "description": "What will a case come to?",
            "scores": "expected values",
            "raw": "Expected values in units of the labels' deviation from their mean",
            "score": "self.raw(numeric, codes) * self.unit + self.shift",
            "loss": "functional.mse_loss(raw, (label[chosen] - label.mean()) / float(network.unit))",
            "body": "    return float((label - raw).mean())",
            "expected": "100 + 20 * signal",
            "drawn": "expected + random.normal(size=len(expected))",
        },
        "count": _ONE_SCORE
        | {
            "description": "How many will there be in a case?",
            "scores": "expected counts",
            "raw": "Logarithms of the expected count",
            "score": "torch.exp(self.raw(numeric, codes) + self.shift)",
            "loss": "functional.poisson_nll_loss(raw, label[chosen])",
            "body": "    return float(np.log(max(float(label.sum()), 0.5) / np.exp(raw).sum()))",
            "expected": "np.exp(0.5 + 0.7 * signal)",
            "drawn": "random.poisson(expected).astype(float)",
        },
        "multiclass": _SCORE_A_CLASS
        | {
            "description": "How will a case end?",
            "scores": "class probabilities",
            "raw": "Logits",
            "score": "torch.softmax(self.raw(numeric, codes) / torch.exp(self.log_temperature), 1)",
            "loss": "functional.cross_entropy(raw, label[chosen])",
            "body": _TEMPERATURE,
            "expected": "np.outer(2 * signal, [1.0, 0.0, -1.0])",
            "drawn": "(expected + random.gumbel(size=expected.shape)).argmax(1).astype(float)",
            "past": "np.array(CLASSES)[(expected + random.gumbel(size=expected.shape)).argmax(1)]",
        },
    }
)
KINDS = tuple(_BY_KIND)


def scaffold(name: str, kind: LabelKind, clock: str, loops_dir: Path, feature_repo: Path) -> list[Path]:
    """Write a new loop and return its files.

    Raises:
        ConfigError: the name is not a valid loop name, or a loop with that name exists.
    """
    if not name.isidentifier() or name != name.lower() or name.startswith("_") or len(name) > 48:
        raise ConfigError(f"invalid loop name {name!r}: use lowercase letters, digits and _, starting with a letter")
    folder, features = loops_dir / name, feature_repo / f"{name}.py"
    for path in (folder, features):
        if path.exists():
            raise ConfigError(f"{path} exists already; choose another name or remove it first")
    values: dict[str, Any] = {"name": name, "kind": kind, "clock": clock, **_BY_KIND[kind]}
    values["classes"] = CLASSES
    values.setdefault("past", values["drawn"])
    files = {
        folder / "loop.yaml": "loop.yaml.j2",
        folder / "protos" / name / "v1" / f"{name}.proto": "events.proto.j2",
        folder / "model.py": "model.py.j2",
        folder / "source.py": "source.py.j2",
        folder / "requests.py": "requests.py.j2",
        folder / "demo.yaml": "demo.yaml.j2",
        folder / f"test_{name}.py": "test.py.j2",
        features: "features.py.j2",
    }
    paths = [_write(path, template, values) for path, template in files.items()]
    paths.append(folder / DESCRIPTORS)
    paths[-1].write_bytes(compile_protos(folder))
    first = span_text(load_loop(folder).definition.training.first_champion_after)
    paths.append(_write(folder / "README.md", "README.md.j2", {**values, "first": first}))
    return sorted(paths)


def _write(path: Path, template: str, values: dict[str, Any]) -> Path:
    # S701: the output is code and YAML, not HTML
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=False
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(environment.get_template(template).render(values))
    return path
