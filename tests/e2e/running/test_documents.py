"""The commands in README.md and docs/clients.md run unchanged and have the described effect."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from driftloop.featurestore.lake import LakeTable
from driftloop.process import tcp_ports
from driftloop.process.settings import ROOT
from tests.e2e.running.commands import WHY, bring_to_stage, run_command, run_json, state
from tests.e2e.running.system import RunningSystem
from tests.helpers.eventually import assert_eventually
from tests.helpers.markdown import Block, BlockResult, Shell, blocks, sections, shell

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200), pytest.mark.surface]

README, CLIENTS = ROOT / "README.md", ROOT / "docs" / "clients.md"
CHECKOUT_FOLDERS = (".local", "protos", "loops")
"""Folders of a checkout that snippets read. Snippets also write to the folder, so it holds links."""
TOOLS = {"kcat": "kcat", "java": "javac", "go": "go", "protoc": "protoc", "grpcurl": "grpcurl", "jq": "jq"}
"""A command in a snippet, and the tool that it needs."""
FETCHED = ROOT / ".local" / "stamps" / "clients"
COMMAND = re.compile(r"(?:^|[|({])\s*(\w+)", re.MULTILINE)
EVENT_ID = re.compile(r"""event_id(?:": |=)"([^"]+)""")
REQUEST_ID = re.compile(r'"([a-z]+-predicts)"')
PATIENCE_S = 400.0
"""Enough for a snippet that compiles Go or Java for the first time on a busy machine."""

ELSEWHERE = ("make demo", "make test", "driftloop import")
"""Whole runs, and commands that need a model file and a loop without a champion: see tests/e2e/test_import.py."""
FOLLOWS = "driftloop timeline -f"
STOPS = "driftloop down"
"""Stops the system that other tests need; tests/e2e/test_readme.py has its own."""


EXPECTED_OUTPUT = {
    "driftloop up": "the system was running already",
    "driftloop status": "kafka",
    "driftloop kpis": "time to repair",
    "driftloop report flights": "flights.html",
    "driftloop history --at 2013-03-15": "live releases",
    "driftloop lineage flights": "training run",
    'driftloop rollback flights --why "..."': " after ",
    "driftloop init parcels --kind count": "`driftloop check parcels`",
    "driftloop check parcels --fit": "parcels: no problems",
}
"""The README's commands, and a part of their output."""


def environment(running: RunningSystem) -> dict[str, str]:
    """Return the system's environment with the commands of set-up on the path and Go's downloads below .local."""
    printed = subprocess.run(
        ["bash", "-c", "source infra/setup/go.sh; env -0"],
        cwd=ROOT, env={**running.line.environment, "ROOT": str(ROOT)}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    variables = dict(part.split("=", 1) for part in printed.stdout.split("\0") if part)
    bins = [variables["GOBIN"], str(ROOT / ".local" / "venv" / "bin"), variables["PATH"]]
    return {**variables, "PATH": os.pathsep.join(bins), "PYTHONPATH": str(ROOT)}


def addresses(running: RunningSystem) -> dict[str, str]:
    """Map the addresses in documents to those of the running system: the only change to a snippet."""
    return {tcp_ports.local(name, 0): running.settings.local(name) for name in tcp_ports.names()}


@pytest.fixture
def reader(running: RunningSystem, tmp_path: Path) -> Iterator[Shell]:
    """Yield a shell in a folder that looks like a checkout."""
    for name in CHECKOUT_FOLDERS:
        (tmp_path / name).symlink_to(ROOT / name)
    with shell(tmp_path, environment(running), addresses(running)) as reader:
        yield reader


def skip_without_tools(snippets: list[Block], path: str) -> None:
    words = {word for snippet in snippets if not snippet.options for word in COMMAND.findall(snippet.text)}
    missing = [need for name, need in TOOLS.items() if name in words and shutil.which(need, path=path) is None]
    if words & {"go", "grpcurl"} and not FETCHED.exists():
        missing.append("Go modules")
    if missing:
        pytest.skip(f"{', '.join(missing)} missing here; `make setup CLIENTS=1` brings it")


def run(reader: Shell, snippets: list[Block]) -> list[BlockResult]:
    return [reader.run(snippet, PATIENCE_S) for snippet in snippets if snippet.language == "sh" or snippet.options]


PRODUCING = [name for name in sections(CLIENTS) if name.startswith("Produce events")]
ASKING = [name for name in sections(CLIENTS) if name.startswith("Ask for a prediction")]


@pytest.mark.parametrize("section", PRODUCING)
def test_each_event_of_a_snippet_is_accepted_once(running: RunningSystem, reader: Shell, section: str) -> None:
    snippets = sections(CLIENTS)[section]
    skip_without_tools(snippets, environment(running)["PATH"])
    before = accepted(running, snippets)
    run(reader, snippets)
    accepted_once_more(running, snippets, before)


def accepted(running: RunningSystem, snippets: list[Block]) -> Counter[str]:
    """Count the snippets' events in the lake, by id."""
    sent = {name for snippet in snippets for name in EVENT_ID.findall(snippet.text)}
    rows = LakeTable(running.settings.lake / running.loop.name / "events" / "weather.observed").read()
    return Counter(value for value in rows.column("event_id").to_pylist() if value in sent)


def accepted_once_more(running: RunningSystem, snippets: list[Block], before: Counter[str]) -> None:
    sent = Counter(name for snippet in snippets for name in EVENT_ID.findall(snippet.text))
    assert sent
    assert_eventually(lambda: accepted(running, snippets) - before == sent, 120.0, f"{sent} in the lake")


def test_every_event_id_is_used_in_one_snippet() -> None:
    names = [name for path in (README, CLIENTS) for block in blocks(path) for name in EVENT_ID.findall(block.text)]
    assert len(set(names)) == len(names) > 5


@pytest.mark.parametrize("section", ASKING)
def test_each_prediction_of_a_snippet_is_logged_with_the_printed_release_and_score(
    running: RunningSystem, reader: Shell, section: str
) -> None:
    snippets = sections(CLIENTS)[section]
    skip_without_tools(snippets, environment(running)["PATH"])
    output = "".join(snippet_run.output for snippet_run in run(reader, snippets))
    [name] = {name for snippet in snippets for name in REQUEST_ID.findall(snippet.text)}
    printed = dict(re.findall(r"^(score|release_id)\s+(\S+)$", output, re.MULTILINE))
    release, score = logged(running, name)
    assert printed["release_id"] == release == state(running).champion
    assert float(printed["score"]) == pytest.approx(score, abs=1e-9)


def logged(running: RunningSystem, name: str) -> tuple[str, float]:
    """Return the release and score of the prediction in the log that answered a request of this id."""

    def find() -> list[tuple[str, float]]:
        log = running.predictions()
        predictions = log.take(np.array([prediction_id.startswith(f"{name}.") for prediction_id in log.id], dtype=bool))
        return list(zip(predictions.release, predictions.score, strict=True))

    [release_and_score] = assert_eventually(find, 60.0, f"{name} in the prediction log")
    return release_and_score


def test_grpcurl_queries_and_commands_control(running: RunningSystem, reader: Shell) -> None:
    snippets = sections(CLIENTS)["Query control"]
    skip_without_tools(snippets, environment(running)["PATH"])
    queried, paused = run(reader, snippets)
    assert state(running).champion in queried.output
    accepted = re.findall(r'"event_id": "([^"]+)"', paused.output)
    assert_eventually(lambda: not state(running).paused, 60.0, "the loop goes on")
    newest = [json.loads(line) for line in run_command(running, "timeline", "--all", "--json", "-n", "20").splitlines()]
    assert [event["id"] for event in newest if event["id"] in accepted] == accepted


def commands() -> list[Block]:
    """Return the README's shell commands one by one, without those that other tests run."""
    commands = []
    for block in blocks(README, "sh"):
        lines = block.text.replace("\\\n", " ").splitlines()
        commands += [replace(block, text=line) for line in lines if not line.startswith(ELSEWHERE)]
    return commands


def plain(command: Block) -> str:
    """Return a command without its comment."""
    return re.split(r"\s{2,}#|\s#", command.text)[0].strip()


ONE_BY_ONE = [command for command in commands() if plain(command) not in (FOLLOWS, STOPS)]


@pytest.fixture(scope="module")
def remove_created_loop(running: RunningSystem) -> Iterator[None]:
    """Remove what the README's commands leave: the loop that `init` created."""
    yield
    folder = running.settings.loops_dir / "parcels"
    if folder.exists():  # absent if `init` was not run, or failed
        shutil.rmtree(folder)
        (running.settings.feature_repo / "parcels.py").unlink()


@pytest.mark.usefixtures("remove_created_loop")
@pytest.mark.parametrize("command", ONE_BY_ONE, ids=plain)
def test_a_command_of_the_readme_does_what_it_says(running: RunningSystem, reader: Shell, command: Block) -> None:
    skip_without_tools([command], environment(running)["PATH"])
    if "rollback" in command.text:
        bring_to_stage(running, "r-of-the-readme", "shadow")
    before = accepted(running, [command])
    ran = reader.run(command, PATIENCE_S)
    assert EXPECTED_OUTPUT.get(plain(command), "") in ran.output
    if "rollback" in command.text:
        assert state(running).release == ""
    if EVENT_ID.search(command.text):
        accepted_once_more(running, [command], before)


def test_expected_output_is_for_commands_of_the_readme() -> None:
    assert EXPECTED_OUTPUT.keys() <= set(map(plain, ONE_BY_ONE))


def test_the_readme_follows_the_timeline(running: RunningSystem) -> None:
    assert FOLLOWS in map(plain, commands())
    with subprocess.Popen(
        FOLLOWS.split(), env=environment(running), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert next(process.stdout), "earlier events"
            run_command(running, "pause", running.loop.name, "--who", "anna", "--why", "the readme is run")
            run_command(running, "resume", running.loop.name, *WHY)
            assert next(line for line in process.stdout if "the readme is run" in line)
            process.send_signal(signal.SIGINT)
            assert process.wait(30.0) == 130
        finally:
            process.kill()


def test_the_readmes_prediction_is_answered_by_the_champion(running: RunningSystem, reader: Shell) -> None:
    [snippet] = blocks(README, "python")
    output = reader.run(snippet, PATIENCE_S).output
    assert run_json(running, "status")["loops"][0]["champion"] in output


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [path.read_text() for path in (README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))]
    named = {name for text in texts for name in re.findall(r"(?:^|`)(?:\w+=\S+ )?make ([a-z-]+)", text, re.MULTILINE)}
    assert {"demo", "demo-year", "test", "proofs", "setup"} <= named
    assert named <= targets
