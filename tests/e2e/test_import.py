"""Models of three libraries, imported as first champions into loops that `driftloop init` created.

One of the loops is the README's, and its models are imported by the README's commands, unchanged.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.events.event_log import read_events
from driftloop.process.settings import ROOT
from tests.e2e.command_line import CommandLine, collect_json, system
from tests.e2e.two_loops.harness import settings_of, up
from tests.helpers import exported, generated_past
from tests.helpers.editing import replace_once
from tests.helpers.eventually import assert_eventually
from tests.helpers.exported import Exported
from tests.helpers.markdown import Shell, blocks, shell

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1800)]

WHY = ("--why", "it served well elsewhere", "--who", "anna")
PATIENCE = ("--timeout", "600")
BEFORE, AFTER = ("2020-09-13", "2020-09-18"), ("2020-09-18", "2020-09-21")
STEP = ("--step", "12h")


@dataclass(frozen=True)
class ImportedModel:
    """A model that some library trained, and the loop that it is for."""

    kind: str
    make: Callable[[], Exported]
    options: tuple[str, ...]
    score: Callable[[Exported, float, str], float]
    """Return the library's own score for a case of this size and place."""


@dataclass(frozen=True)
class ImportOutput:
    """Output of `import`: its effect, and the command's event id if it was printed."""

    effect: str
    event_id: str = ""


def score_by_two_sizes(model: Exported, size: float, place: str) -> float:
    return float(model.scores(np.array([[size, size]]), np.array([place], dtype=object))[0])


def score_by_feature(model: Exported, size: float, place: str) -> float:
    """Score a case; the regression's first column is the number of measurements of the place in the last hour."""
    return float(model.scores(np.array([[generated_past.MEASURED[place], size]]), np.array([place], dtype=object))[0])


def score_by_size_and_place(model: Exported, size: float, place: str) -> float:
    return float(model.scores(np.array([[size]]), np.array([place], dtype=object))[0])


def named_counts() -> Exported:
    size, place = generated_past.cases()
    return exported.sklearn_counts(size, place.astype(object), generated_past.outcomes("count"))


def matrix_of_counts() -> Exported:
    """Return a model whose second column is the sum of the last hour's measurements, each of which is 1."""
    size, place = generated_past.cases()
    measured = np.vectorize(generated_past.MEASURED.__getitem__)(place)
    return exported.xgboost_on("count", np.column_stack([size, measured]), generated_past.outcomes("count"))


README = "parcels"
"""The README's loop: it imports a model with named columns, then one with a matrix, then one from MLflow."""
MODELS: Mapping[str, ImportedModel] = {
    "wins": ImportedModel("binary", exported.sklearn_pipeline, ("--columns", "reading=size"), score_by_two_sizes),
    README: ImportedModel("count", named_counts, (), score_by_size_and_place),
    "values": ImportedModel(
        "regression", lambda: exported.torch_matrix(1), ("--columns", "values_measured:count_amount_3600s,size"),
        score_by_feature,
    ),
}  # fmt: skip
TRAINED = "wins"
"""The loop with a trainer."""


@dataclass(frozen=True)
class ImportedLoops:
    """The system after the imports, and the output of commands on the way."""

    line: CommandLine
    models: Mapping[str, Exported]
    before: Mapping[str, Any]
    """Status before the imports, by loop."""
    output: Mapping[str, ImportOutput]
    """By loop."""
    reader: Shell
    """A shell in the folder with `model.onnx`."""

    def events(self, loop: str, kind: type[Any]) -> list[Envelope[Any]]:
        events = read_events(KafkaSettings.of(settings_of(self.line)))
        return [event for event in events if event.loop == loop and isinstance(event.data, kind)]


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImportedLoops]:
    folder = tmp_path_factory.mktemp("import")
    with system(folder, empty_definitions(folder)) as line, shell(folder, with_commands(line)) as reader:
        models = {name: create_loop(line, folder, name) for name in MODELS}
        up(line)
        replay(line, BEFORE, "--no-caller")
        before = {loop["loop"]: loop for loop in status(line)["loops"]}
        outputs = {name: import_model(line, folder, name) for name in MODELS if name != README}
        last = import_by_readme(reader, models[README], 0).splitlines()[-1]
        yield ImportedLoops(
            line, models, before, {**outputs, README: ImportOutput(last.rpartition(" after ")[0])}, reader
        )


def with_commands(line: CommandLine) -> dict[str, str]:
    return {**line.environment, "PATH": f"{ROOT / '.local' / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def import_by_readme(reader: Shell, model: Exported, number: int) -> str:
    """Import a model with one of the README's commands and return its output."""
    [block] = [snippet for snippet in blocks(ROOT / "README.md", "sh") if "driftloop import" in snippet.text]
    text = block.text.splitlines()[number]
    assert text.startswith(f"driftloop import {README} ")
    (reader.folder / "model.onnx").write_bytes(model.onnx)
    return reader.run(replace(block, text=text), 400.0).output


def empty_definitions(folder: Path) -> dict[str, str]:
    (folder / "loops").mkdir()
    (folder / "features").mkdir()
    shutil.copy(ROOT / "feature_repo" / "feature_store.yaml", folder / "features")
    return {"DRIFTLOOP_LOOPS_DIR": str(folder / "loops"), "DRIFTLOOP_FEATURE_REPO": str(folder / "features")}


def create_loop(line: CommandLine, folder: Path, name: str) -> Exported:
    """Create a loop with `driftloop init`, without a trainer unless it is `TRAINED`; return the model to import."""
    imported = MODELS[name]
    checked_output(line.run("init", name, "--kind", imported.kind, "--clock", "request"))
    generated_past.write(folder / "loops" / name, name, imported.kind)
    if name != TRAINED:
        text = folder / "loops" / name / "loop.yaml"
        replace_once(text, "trainer: model:Trainer", "trainer: null")
        replace_once(text, "  schedule: {every: 28d}\n", "")
        (folder / "loops" / name / "model.py").unlink()
    model = imported.make()
    (folder / f"{name}.onnx").write_bytes(model.onnx)
    return model


def import_model(line: CommandLine, folder: Path, name: str) -> ImportOutput:
    options = (*MODELS[name].options, *WHY, *PATIENCE, "--json")
    output = json.loads(checked_output(line.run("import", name, "--onnx", str(folder / f"{name}.onnx"), *options)))
    return ImportOutput(output["effect"], output["event_id"])


def checked_output(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout if code == 0 else done.stderr


def status(line: CommandLine) -> Any:
    return json.loads(line.run("status", "--json").stdout)


def replay(line: CommandLine, span: tuple[str, str], *more: str, callers: bool = False) -> dict[str, Any]:
    """Replay all loops at once and return the output of each caller."""
    span_options = ("--start", span[0], "--end", span[1], *STEP, *PATIENCE)
    clients = {("replay", name): line.start("replay", name, *span_options, *more) for name in MODELS}
    if callers:
        clients |= {("call", name): line.start("call", name, *span_options) for name in MODELS}
    outputs = collect_json(clients, 900.0)
    return {name: outputs[command, name] for command, name in outputs if command == "call"}


@pytest.mark.parametrize("name", MODELS)
def test_an_imported_model_becomes_the_first_champion_with_its_own_scores(loops: ImportedLoops, name: str) -> None:
    [promoted] = loops.events(name, registry.ChampionPromoted)[:1]
    assert promoted.data.previous_release_id == ""
    output = loops.output[name]
    assert output.effect == f"{promoted.data.release_id} answers as the loop's champion"
    request = next(event for event in loops.events(name, training.RetrainRequested) if event.data.HasField("model"))
    assert promoted.correlation_id == request.correlation_id
    assert output.event_id == ("" if name == README else promoted.correlation_id)
    with triton.InferenceServerClient(settings_of(loops.line).triton_grpc) as client:
        for size, place in ((-0.4, "north"), (0.9, "south")):
            answer = client.infer(name, tensors(size, place), client_timeout=60.0)
            assert answer.as_numpy("release_id").item().decode() == promoted.data.release_id
            expected = MODELS[name].score(loops.models[name], size, place)
            assert answer.as_numpy("score").item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def tensors(size: float, place: str) -> list[triton.InferInput]:
    at_ms = generated_past.START_MS + 5 * generated_past.DAY_MS
    values: dict[str, tuple[str, Any]] = {
        "case_id": ("BYTES", "asked-by-the-test"), "decision_time_ms": ("INT64", at_ms),
        "place": ("BYTES", place), "size": ("FP64", size),
    }  # fmt: skip
    inputs = []
    for name, (datatype, value) in values.items():
        tensor = triton.InferInput(name, [1, 1], datatype)
        dtype = {"BYTES": object, "INT64": np.int64, "FP64": np.float64}[datatype]
        tensor.set_data_from_numpy(np.array([[value]], dtype=dtype))
        inputs.append(tensor)
    return inputs


def test_a_loop_without_a_trainer_says_so_and_one_with_a_trainer_retrains(loops: ImportedLoops) -> None:
    line = loops.line
    for name in MODELS:
        reasons = [event.data.because for event in loops.events(name, training.ReasonCoalesced)]
        assert ("no-trainer" in reasons) == (name != TRAINED)
        assert (loops.before[name]["untrained"] == "first-champion") == (name != TRAINED)
        assert not [
            event for event in loops.events(name, training.RetrainRequested) if not event.data.HasField("model")
        ]
    answered = replay(line, AFTER, callers=True)
    assert {name: counts["failed"] for name, counts in answered.items()} == dict.fromkeys(MODELS, 0)
    assert all(value["answered"] > 100 for value in answered.values())
    for name in MODELS.keys() - {TRAINED}:
        refused = checked_output(line.run("retrain", name, *WHY, *PATIENCE), code=3)
        assert refused.strip().splitlines() == [
            f"driftloop: nothing is trained: {name} has no trainer; import one with "
            f"`driftloop import {name} --onnx FILE`"
        ]
        assert "no trainer" in checked_output(line.run("timeline", name))
    assert "training is requested" in checked_output(line.run("retrain", TRAINED, *WHY, *PATIENCE))

    def has_verdict() -> bool:
        ends = [*loops.events(TRAINED, registry.StageEntered), *loops.events(TRAINED, registry.ReleaseRejected)]
        return any(end.data.stage in ("shadow", "offline") for end in ends)

    assert_eventually(has_verdict, 300.0, "a trained candidate beside the imported champion, or its refusal")
    [trained] = [event for event in loops.events(TRAINED, training.CandidateTrained) if event.data.training_rows]
    assert [reason.kind for reason in trained.data.reasons] == ["command"]


def test_a_model_imported_beside_a_champion_becomes_challenger(loops: ImportedLoops, tmp_path: Path) -> None:
    path = tmp_path / "logits.onnx"
    path.write_bytes(exported.torch_matrix(1).onnx)
    refused = checked_output(
        loops.line.run("import", README, "--onnx", str(path), "--columns", "size,size", *WHY, *PATIENCE), 3
    )
    assert "--link exp" in refused
    assert "is compared with the champion" in import_by_readme(loops.reader, matrix_of_counts(), 1)
    checked_output(loops.line.run("rollback", README, *WHY))
    log_in_mlflow(loops, matrix_of_counts(), "parcel-counts", versions=3)
    assert "is compared with the champion" in import_by_readme(loops.reader, matrix_of_counts(), 2)


def log_in_mlflow(loops: ImportedLoops, model: Exported, name: str, versions: int) -> None:
    """Log a model in MLflow with the names of its columns, as another team does."""
    import mlflow
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    columns = ("size", f"{README}_measured:sum_amount_3600s")
    mlflow.set_tracking_uri(settings_of(loops.line).mlflow_uri)
    mlflow.create_experiment(name, str(loops.line.out.parent / "artifacts"))
    mlflow.set_experiment(name)
    signature = ModelSignature(Schema([ColSpec("float", column) for column in columns]))
    for _ in range(versions):
        with mlflow.start_run():
            mlflow.onnx.log_model(
                onnx.load_from_string(model.onnx), name="model", registered_model_name=name, signature=signature
            )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere", "--onnx", "wins.onnx", *WHY), "there is no loop with this name"),
        (("wins", *WHY), "Give one of --onnx FILE and --mlflow URI."),
        (("wins", "--onnx", "absent.onnx", *WHY), "does not exist"),
        (("wins", "--onnx", "wins.onnx"), "Missing option '--why'"),
        (("wins", "--onnx", "wins.onnx", *WHY), "'reading' takes 1 columns and its name is not an input of the loop"),
        (("wins", "--onnx", "loops/wins/loop.yaml", *WHY), "not a readable ONNX model"),
        (("wins", "--onnx", "wins.onnx", "--columns", "reading=weight", *WHY), "the loop has no input 'weight'"),
        (("wins", "--mlflow", "models:/nothing/1", *WHY), "cannot provide it"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_argument_is_one_line(loops: ImportedLoops, arguments: tuple[str, ...], says: str) -> None:
    folder = loops.line.out.parent
    words = [str(folder / argument) if (folder / argument).is_file() else argument for argument in arguments]
    [line] = checked_output(loops.line.run("import", *words), code=2).strip().splitlines()
    assert says in line
