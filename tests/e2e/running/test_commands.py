"""Commands that do not need the control service, as a table and as JSON; and a wrong argument for every command."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import click
import pytest

from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import Outgoing
from driftloop.ops import cli
from driftloop.process.settings import ROOT
from tests.e2e.running.commands import WHY, run_command, run_json
from tests.e2e.running.system import RunningSystem
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200), pytest.mark.surface]

COMMANDS = cli.cli.list_commands(click.Context(cli.cli))
WRONG = [
    (("up", "now"), "unexpected extra argument"),
    (("up", "--timeout", "soon"), "'soon' is not a valid float"),
    (("down", "now"), "unexpected extra argument"),
    (("status", "now"), "unexpected extra argument"),
    (("doctor", "now"), "unexpected extra argument"),
    (("demo", "--end", "yesterday"), "'yesterday' is not a date; write 2013-05-19"),
    (("demo", "--plan", "nine"), "nine.yaml:1: the plan is missing; it defines the days to replay"),
    (("replay", "flights"), "Missing option '--start'"),
    (("replay", "flights", "--start", "2013-01-02", "--end", "2013-01-01"), "must be after the start 2013-01-02"),
    (("replay", "flights", "--start", "2013-01-14", "--end", "2013-01-15"), "flights has already reached 2013-03-"),
    (("call", "flights", "--start", "soon"), "'soon' is not a date; write 2013-05-19"),
    (("init", "9"), "use lowercase letters, digits and _, starting with a letter"),
    (("init", "flights"), "choose another name or remove it first"),
    (("init", "parcels", "--kind", "ordinal"), "is not one of 'binary', 'regression', 'count', 'multiclass'"),
    (("check", "nowhere"), "there is no loop 'nowhere'"),
    (("import", "nowhere", "--onnx", "pyproject.toml", *WHY), "there is no loop with this name"),
    (("import", "flights", *WHY), "--onnx"),
    (("wait", "nowhere"), "there is no loop 'nowhere'"),
    (("wait", "flights", "--for", "ever"), "'ever' is not one of"),
    (("timeline", "nowhere"), "there is no loop 'nowhere'"),
    (("timeline", "-n", "many"), "'many' is not a valid integer"),
    (("history", "nowhere"), "there is no loop 'nowhere'"),
    (("history", "--at", "yesterday"), "'yesterday' is not a date"),
    (("lineage", "nothing"), "no prediction, release, run or event"),
    (("lineage",), "Missing argument 'LOOP|ID'"),
    (("retrain", "nowhere", *WHY), "there is no loop 'nowhere'"),
    (("retrain",), "Missing argument 'LOOP'"),
    (("approve", "flights", "r-nothing", *WHY), "there is no release 'r-nothing'"),
    (("reject", "flights", "r-nothing", *WHY), "there is no release 'r-nothing'"),
    (("rollback", "flights"), "Missing option '--why'"),
    (("rollback", "flights", "--why", " "), "why is missing"),
    (("pause", "nowhere", *WHY), "there is no loop 'nowhere'"),
    (("resume", "nowhere", *WHY), "there is no loop 'nowhere'"),
    (("kpis", "nowhere"), "nowhere"),
    (("kpis", "--since", "yesterday"), "'yesterday' is not a date"),
    (("report", "nowhere"), "nowhere"),
    (("dlq", "list", "nothing"), "'nothing' is not a topic with dead letters; there are"),
    (("dlq", "show", "weather.observed", "999"), "`driftloop dlq list weather.observed` lists them"),
    (("dlq", "replay", "weather.observed", "--why", "fixed"), "give offsets or --all"),
    (("watermark", "nowhere", "--derive", *WHY), "there is no loop with this name"),
    (("watermark", "flights", *WHY), "give either --at or --derive"),
    (("watermark", "flights", "--at", "soon", *WHY), "'soon' is not a date; write 2013-05-19"),
    (("watermark", "flights", "--at", "9000-01-01", *WHY), "ingestion refuses such a watermark"),
    (("watermark", "flights", "--derive", "--topic", "orders.placed", *WHY), "is not a topic of flights"),
    (("topics", "acls", "--principal", "me"), "it needs {service} where the service's name belongs"),
    (("rebuild", "now"), "unexpected extra argument"),
    (("backup", "pyproject.toml"), "pyproject.toml"),
    (("restore", "nothing.tar"), "stop it with `driftloop down`"),
    (("completion",), "Choose from: bash, zsh, fish"),
    (("cluster",), "Missing argument 'COMMAND...'"),
    (("give-up", "flights", "two"), "Missing option '--why'"),
    (("completion", "tcsh"), "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
]
"""A command line and a part of its one-line error."""


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_a_wrong_argument_is_one_line(running: RunningSystem, arguments: tuple[str, ...], says: str) -> None:
    [line] = run_command(running, *arguments, code=2).strip().splitlines()
    assert line.startswith("driftloop")
    assert says in line


def test_every_command_has_a_wrong_argument() -> None:
    assert {arguments[0] for arguments, _ in WRONG} == set(COMMANDS)


def test_up_leaves_a_running_system_as_it_is(running: RunningSystem) -> None:
    before = running.pids()
    assert run_command(running, "up").endswith("the system was running already\n")
    output = run_json(running, "up")
    assert output["already"]
    assert {"kafka", "triton", "ingestion", "control"} <= output["ready_s"].keys()
    assert running.pids() == before


def test_a_replay_of_a_loop_that_nobody_reads_says_so(running: RunningSystem) -> None:
    loops = {
        "DRIFTLOOP_LOOPS_DIR": str(ROOT / "tests" / "loops"),
        "DRIFTLOOP_FEATURE_REPO": str(ROOT / "tests" / "loops" / "feature_repo"),
    }
    line = replace(running.line, environment=running.line.environment | loops)
    ended = line.run("replay", "orders", "--start", "2020-09-13", "--end", "2020-09-14")
    assert ended.returncode == 2, ended.stdout + ended.stderr
    [error] = ended.stderr.strip().splitlines()
    assert "Kafka has no topic orders.inspected: run `driftloop up`, which starts orders" in error


def test_the_status_shows_parts_and_loops(running: RunningSystem) -> None:
    output = run_json(running, "status")
    assert all(part["ready"] for part in output["parts"])
    shown = run_command(running, "status")
    for entry in (*output["parts"], *output["loops"]):
        assert (entry.get("name") or entry["loop"]) in shown
    assert output["loops"][0]["champion"] in shown


def test_the_doctor_reports_no_problem(running: RunningSystem) -> None:
    output = run_json(running, "doctor")
    assert [finding for finding in output if finding["state"] == "wrong"] == []
    shown = run_command(running, "doctor")
    assert all(finding["name"] in shown for finding in output)


def test_a_loop_is_created_and_checked_beside_a_running_system(running: RunningSystem) -> None:
    """Tests the JSON output; the README's commands cover the text output."""
    try:
        files = run_json(running, "init", "made")
        assert any(path.endswith("made/loop.yaml") for path in files)
        output = run_json(running, "check", "made")["made"]
        assert output["problems"] == []
        assert {effect["kind"] for effect in output["effects"]} >= {"topic"}
    finally:
        shutil.rmtree(running.settings.loops_dir / "made")
        (running.settings.feature_repo / "made.py").unlink()


def test_a_dead_letter_is_listed_shown_and_replayed(running: RunningSystem) -> None:
    topic = "weather.observed"
    before = len(run_json(running, "dlq", "list", topic))
    producer = KafkaBatchProducer(KafkaSettings.of(running.settings))
    producer.send([Outgoing(topic, b'{"event_id": "warm-1", "temperature_f": ', None)])
    producer.close()
    listed = assert_eventually(lambda: run_json(running, "dlq", "list", topic)[before:], 60.0, "the dead letter")
    offset = str(listed[0]["offset"])
    assert listed[0]["reason"] == "malformed-json"
    assert "malformed-json" in run_command(running, "dlq", "list", topic)
    assert run_json(running, "dlq", "show", topic, offset)["sha256"] in run_command(
        running, "dlq", "show", topic, offset
    )
    assert len(run_json(running, "dlq", "replay", topic, offset, *WHY)["sent"]) == 1
    assert "sent 0 again to weather.observed" in run_command(running, "dlq", "replay", topic, offset, *WHY)


def test_completion_is_a_valid_shell_script(running: RunningSystem) -> None:
    script = run_command(running, "completion", "bash")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "driftloop" in script
