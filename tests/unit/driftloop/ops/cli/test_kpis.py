from __future__ import annotations

import json

from click.testing import CliRunner, Result

from driftloop.ops.cli.kpis import kpis
from tests.helpers.lifecycle import drifting

EVENTS = [*drifting().events, *drifting("parcels").events]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(kpis, arguments, obj=lambda _: EVENTS)


def test_it_shows_each_loop_and_all_together() -> None:
    shown = run().output
    assert all(name in shown for name in ("orders", "parcels", "all loops", "time to repair", "8 d"))


def test_json_holds_numbers_for_scripts() -> None:
    numbers = json.loads(run("--json", "--since", "2013-01-20").stdout)
    assert set(numbers) == {"since", "until", "loops", "all"}
    assert numbers["loops"]["orders"]["time_to_repair"]["event_s"] == {"count": 1, "p50": 691200.0, "p90": 691200.0}
    assert numbers["all"]["deployment_frequency"]["promotions"] == 2


def test_an_unknown_loop_is_refused_with_the_known_names() -> None:
    result = run("nothing")
    assert result.exit_code == 2
    assert "'nothing' is unknown. There are loops: orders, parcels." in result.output


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    assert run("--since", "2013-02-01", "--until", "2013-01-01").exit_code == 2


def test_a_log_with_no_events_says_so() -> None:
    assert CliRunner().invoke(kpis, [], obj=lambda _: []).output.strip() == "no events yet"
