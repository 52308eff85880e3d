"""``driftloop import``: a model that was trained elsewhere becomes a loop's champion, or its challenger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from google.protobuf.json_format import ParseDict
from rich.console import Console

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts import control_pb2 as control
from driftloop.loop import load_loops
from driftloop.ops.cli.commands import options, tell
from driftloop.ops.cli.types import examples
from driftloop.ops.import_check_client import look
from driftloop.process.settings import Settings

_LINKS = ("identity", "sigmoid", "softmax", "exp")


@click.command(
    "import",
    context_settings={"default_map": {"timeout": 300.0}},  # a run is waited for
    epilog=examples(
        'driftloop import orders --onnx model.onnx --columns lines,basket_cents --why "the model of last year"',
        'driftloop import orders --mlflow models:/returns/3 --why "trained by the returns team"',
        'driftloop import orders --onnx net.onnx --columns x=lines,shelf_units --link exp --why "a torch model"',
    ),
)
@click.argument("loop")
@click.option(
    "--onnx", metavar="FILE", help="An ONNX file.", type=click.Path(exists=True, dir_okay=False, resolve_path=True)
)
@click.option(
    "--mlflow", metavar="URI", help="models:/name/version, runs:/id/path, or a folder that MLflow has written."
)
@click.option(
    "--columns", multiple=True, metavar="[INPUT=]NAME,...",
    help="The loop's inputs that an input of the model takes, in order, where their names do not tell.",
)  # fmt: skip
@click.option("--output", default="", metavar="NAME", help="The output that holds the scores, where there are several.")
@click.option("--classes", default="", metavar="NAME,...", help="The classes of the output's columns, in order.")
@click.option(
    "--positive", default="", metavar="NAME", help="The class that is the loop's 1, where it is not called 1."
)
@click.option(
    "--link", type=click.Choice(_LINKS), default="identity", show_default=True,
    help="What turns the output into a score: of logits, sigmoid or softmax; of logarithms, exp.",
)  # fmt: skip
@options
def import_(
    loop: str, onnx: str | None, mlflow: str | None, columns: tuple[str, ...], output: str, classes: str, positive: str,
    link: str, who: str, why: str, **how: Any,
) -> None:  # fmt: skip
    """Bring a model that was trained elsewhere, as an ONNX file or from MLflow, into LOOP.

    Where LOOP has no champion it becomes the first, once it beats the base rate on the loop's own rows. Else it is a
    challenger, judged beside the champion like any other. Exit code 3: it was refused.
    """
    if (onnx is None) == (mlflow is None):
        raise click.UsageError("Give one of --onnx FILE and --mlflow URI.")
    settings = Settings()
    [found] = load_loops(settings.loops_dir, [loop])
    if mlflow is not None and ":/" not in mlflow:
        mlflow = str(Path(mlflow).resolve())
    asked = {"--onnx": onnx, "--mlflow": mlflow, "--output": output, "--classes": classes, "--positive": positive}
    words = [f"{name}={value}" for name, value in asked.items() if value]
    words += [f"--link={link}", *(f"--columns={each}" for each in columns)]
    with Console(stderr=True).status("looking at the model"):
        seen = look(settings, found.folder, words)
    if not how["as_json"]:
        for note in seen["notes"]:
            click.echo(f"  {note}")
    model = ParseDict(seen["model"], control.ImportedModel())
    tell("import", api.CommandRequest(loop=loop, who=who, why=why, model=model), **how)
