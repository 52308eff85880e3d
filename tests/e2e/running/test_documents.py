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

import pytest

from driftloop.featurestore.lake import Table
from driftloop.process import tcp_ports
from driftloop.process.settings import ROOT
from tests.e2e.running.asking import WHY, brought_to, say, say_json, state
from tests.e2e.running.system import Running
from tests.helpers.eventually import assert_eventually
from tests.helpers.markdown import Block, Ran, Shell, blocks, sections, shell

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200), pytest.mark.surface]

README, CLIENTS = ROOT / "README.md", ROOT / "docs" / "clients.md"
OF_A_CHECKOUT = (".local", "protos", "loops")
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


SAYS = {
    "driftloop up": "was up already",
    "driftloop status": "kafka",
    "driftloop kpis": "time to repair",
    "driftloop report flights": "flights.html",
    "driftloop history --at 2013-03-15": "who answered",
    "driftloop lineage flights": "training run",
    'driftloop rollback flights --why "..."': " after ",
    "driftloop init parcels --kind count": "`driftloop check parcels`",
    "driftloop check parcels": "parcels is right",
}
"""The README's commands, and a part of their output."""


def environment(running: Running) -> dict[str, str]:
    """Return the system's environment with the commands of set-up on the path and Go's downloads below .local."""
    told = subprocess.run(
        ["bash", "-c", "source infra/setup/go.sh; env -0"],
        cwd=ROOT, env={**running.line.environment, "ROOT": str(ROOT)}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = dict(each.split("=", 1) for each in told.stdout.split("\0") if each)
    bins = [found["GOBIN"], str(ROOT / ".local" / "venv" / "bin"), found["PATH"]]
    return {**found, "PATH": os.pathsep.join(bins), "PYTHONPATH": str(ROOT)}


def addresses(running: Running) -> dict[str, str]:
    """Map the addresses in documents to those of the running system: the only change to a snippet."""
    return {tcp_ports.local(name, 0): running.settings.local(name) for name in tcp_ports.names()}


@pytest.fixture
def reader(running: Running, tmp_path: Path) -> Iterator[Shell]:
    """Yield a shell in a folder that looks like a checkout."""
    for name in OF_A_CHECKOUT:
        (tmp_path / name).symlink_to(ROOT / name)
    with shell(tmp_path, environment(running), addresses(running)) as found:
        yield found


def skip_without_tools(snippets: list[Block], path: str) -> None:
    words = {word for each in snippets if not each.options for word in COMMAND.findall(each.text)}
    missing = [need for name, need in TOOLS.items() if name in words and shutil.which(need, path=path) is None]
    if words & {"go", "grpcurl"} and not FETCHED.exists():
        missing.append("what Go has to fetch and compile first")
    if missing:
        pytest.skip(f"{', '.join(missing)} missing here; `make setup CLIENTS=1` brings it")


def run(reader: Shell, snippets: list[Block]) -> list[Ran]:
    return [reader.run(each, PATIENCE_S) for each in snippets if each.language == "sh" or each.options]


PRODUCING = [name for name in sections(CLIENTS) if name.startswith("Produce events")]
ASKING = [name for name in sections(CLIENTS) if name.startswith("Ask for a prediction")]


@pytest.mark.parametrize("section", PRODUCING)
def test_each_event_of_a_snippet_is_accepted_once(running: Running, reader: Shell, section: str) -> None:
    snippets = sections(CLIENTS)[section]
    skip_without_tools(snippets, environment(running)["PATH"])
    before = accepted(running, snippets)
    run(reader, snippets)
    accepted_once_more(running, snippets, before)


def accepted(running: Running, snippets: list[Block]) -> Counter[str]:
    """Count the snippets' events in the lake, by id."""
    sent = {found for each in snippets for found in EVENT_ID.findall(each.text)}
    rows = Table(running.settings.lake / running.loop.name / "events" / "weather.observed").read()
    return Counter(each for each in rows.column("event_id").to_pylist() if each in sent)


def accepted_once_more(running: Running, snippets: list[Block], before: Counter[str]) -> None:
    sent = Counter(found for each in snippets for found in EVENT_ID.findall(each.text))
    assert sent
    assert_eventually(lambda: accepted(running, snippets) - before == sent, 120.0, f"{sent} in the lake")


def test_no_id_of_an_event_stands_in_two_snippets() -> None:
    every = [found for path in (README, CLIENTS) for each in blocks(path) for found in EVENT_ID.findall(each.text)]
    assert len(set(every)) == len(every) > 5


@pytest.mark.parametrize("section", ASKING)
def test_each_prediction_of_a_snippet_is_logged_with_the_release_and_score_that_it_printed(
    running: Running, reader: Shell, section: str
) -> None:
    snippets = sections(CLIENTS)[section]
    skip_without_tools(snippets, environment(running)["PATH"])
    said = "".join(each.output for each in run(reader, snippets))
    [name] = {found for each in snippets for found in REQUEST_ID.findall(each.text)}
    printed = dict(re.findall(r"^(score|release_id)\s+(\S+)$", said, re.MULTILINE))
    release, score = logged(running, name)
    assert printed["release_id"] == release == state(running).champion
    assert float(printed["score"]) == pytest.approx(score, abs=1e-9)


def logged(running: Running, name: str) -> tuple[str, float]:
    """Return the release and score of a prediction in the log."""

    def look() -> list[tuple[str, float]]:
        log = running.predictions()
        found = log.take(log.id == name)
        return list(zip(found.release, found.score, strict=True))

    [found] = assert_eventually(look, 60.0, f"{name} in the prediction log")
    return found


def test_control_is_asked_and_told_by_grpcurl(running: Running, reader: Shell) -> None:
    snippets = sections(CLIENTS)["Query control"]
    skip_without_tools(snippets, environment(running)["PATH"])
    asked, told = run(reader, snippets)
    assert state(running).champion in asked.output
    accepted = re.findall(r'"event_id": "([^"]+)"', told.output)
    assert_eventually(lambda: not state(running).paused, 60.0, "the loop goes on")
    newest = [json.loads(each) for each in say(running, "timeline", "--all", "--json", "-n", "20").splitlines()]
    assert [each["id"] for each in newest if each["id"] in accepted] == accepted


def commands() -> list[Block]:
    """Return the README's shell commands one by one, without those that other tests run."""
    found = []
    for block in blocks(README, "sh"):
        whole = block.text.replace("\\\n", " ").splitlines()
        found += [replace(block, text=each) for each in whole if not each.startswith(ELSEWHERE)]
    return found


def plain(command: Block) -> str:
    """Return a command without its comment."""
    return re.split(r"\s{2,}#|\s#", command.text)[0].strip()


ONE_BY_ONE = [each for each in commands() if plain(each) not in (FOLLOWS, STOPS)]


@pytest.fixture(scope="module")
def undone(running: Running) -> Iterator[None]:
    """Remove what the README's commands leave: the loop that `init` created."""
    yield
    folder = running.settings.loops_dir / "parcels"
    if folder.exists():  # absent if `init` was not run, or failed
        shutil.rmtree(folder)
        (running.settings.feature_repo / "parcels.py").unlink()


@pytest.mark.usefixtures("undone")
@pytest.mark.parametrize("command", ONE_BY_ONE, ids=plain)
def test_a_command_of_the_readme_does_what_it_says(running: Running, reader: Shell, command: Block) -> None:
    skip_without_tools([command], environment(running)["PATH"])
    if "rollback" in command.text:
        brought_to(running, "r-of-the-readme", "shadow")
    before = accepted(running, [command])
    ran = reader.run(command, PATIENCE_S)
    assert SAYS.get(plain(command), "") in ran.output
    if "rollback" in command.text:
        assert state(running).release == ""
    if EVENT_ID.search(command.text):
        accepted_once_more(running, [command], before)


def test_what_is_known_of_the_readmes_commands_is_of_its_commands() -> None:
    assert SAYS.keys() <= set(map(plain, ONE_BY_ONE))


def test_the_readme_follows_the_timeline(running: Running) -> None:
    assert FOLLOWS in map(plain, commands())
    with subprocess.Popen(
        FOLLOWS.split(), env=environment(running), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert next(process.stdout), "what happened before"
            say(running, "pause", running.loop.name, "--who", "anna", "--why", "the readme is followed")
            say(running, "resume", running.loop.name, *WHY)
            assert next(each for each in process.stdout if "the readme is followed" in each)
            process.send_signal(signal.SIGINT)
            assert process.wait(30.0) == 130
        finally:
            process.kill()


def test_the_readmes_prediction_is_answered_by_the_champion(running: Running, reader: Shell) -> None:
    [snippet] = blocks(README, "python")
    said = reader.run(snippet, PATIENCE_S).output
    assert say_json(running, "status")["loops"][0]["champion"] in said


def test_every_make_target_of_the_documents_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [path.read_text() for path in (README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))]
    named = {name for text in texts for name in re.findall(r"(?:^|`)(?:\w+=\S+ )?make ([a-z-]+)", text, re.MULTILINE)}
    assert {"demo", "demo-year", "test", "proofs", "setup"} <= named
    assert named <= targets
