"""``driftloop import``: imports a model that was trained elsewhere into a loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from google.protobuf.json_format import ParseDict

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts import control_pb2 as control
from driftloop.loop import load_loops
from driftloop.ops.cli.commands import add_command_options, send_command
from driftloop.ops.cli.output import echo, working
from driftloop.ops.cli.types import examples
from driftloop.ops.import_check_client import check_import
from driftloop.process.settings import Settings

_LINKS = ("identity", "sigmoid", "softmax", "exp")


@click.command(
    "import",
    context_settings={"default_map": {"timeout": 300.0}},  # the command waits for a run
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
    help="The loop's inputs for an input of the model, in order, if their names differ.",
)  # fmt: skip
@click.option("--output", default="", metavar="NAME", help="The output with the scores, if there are several.")
@click.option("--classes", default="", metavar="NAME,...", help="The classes of the output's columns, in order.")
@click.option("--positive", default="", metavar="NAME", help="The class that is the loop's 1, if its name is not 1.")
@click.option(
    "--link", type=click.Choice(_LINKS), default="identity", show_default=True,
    help="Function from output to score: sigmoid or softmax for logits, exp for logarithms.",
)  # fmt: skip
@add_command_options
def import_(
    loop: str, onnx: str | None, mlflow: str | None, columns: tuple[str, ...], output: str, classes: str, positive: str,
    link: str, who: str, why: str, **options: Any,
) -> None:  # fmt: skip
    """Import a model that was trained elsewhere into LOOP, from an ONNX file or from MLflow.

    If LOOP has no champion, the model becomes the first when it beats the base rate on the loop's rows. Otherwise it is
    a challenger and is compared with the champion. Exit code 3: the model was refused.
    """
    if (onnx is None) == (mlflow is None):
        raise click.UsageError("Give one of --onnx FILE and --mlflow URI.")
    settings = Settings()
    [loaded] = load_loops(settings.loops_dir, [loop])
    if mlflow is not None and ":/" not in mlflow:
        mlflow = str(Path(mlflow).resolve())
    given = {"--onnx": onnx, "--mlflow": mlflow, "--output": output, "--classes": classes, "--positive": positive}
    arguments = [f"{name}={value}" for name, value in given.items() if value]
    arguments += [f"--link={link}", *(f"--columns={names}" for names in columns)]
    with working("checking the model"):
        checked = check_import(settings, loaded.folder, arguments)
    if not options["as_json"]:
        for note in checked["notes"]:
            echo(f"  {note}")
    model = ParseDict(checked["model"], control.ImportedModel())
    send_command("import", api.CommandRequest(loop=loop, who=who, why=why, model=model), **options)
