"""Simulates many seeds: ``python -m tests.simulation --seeds 1000``. `make simulate` runs it."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import get_args

from tests.simulation.simulation import Outcome, simulate
from tests.simulation.system import Safeguard

_CHUNK = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the seeds; return 1 if one of them violates an invariant."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--without", choices=get_args(Safeguard), help="a safeguard to remove")
    options = parser.parse_args(arguments)
    seeds = range(options.first, options.first + options.seeds)
    began_s, done, failed, steps = time.monotonic(), 0, 0, 0
    with multiprocessing.Pool(
        options.jobs, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    ) as pool:
        try:
            work = ((seed, options.without) for seed in seeds)
            for outcome in pool.imap_unordered(_one, work, chunksize=_CHUNK):
                done, failed, steps = done + 1, failed + bool(outcome.violation), steps + outcome.steps
                _report(outcome, options.without)
                _progress(done, len(seeds), failed, time.monotonic() - began_s)
        except KeyboardInterrupt:
            pool.terminate()
            _say(f"\nstopped after {done} of {len(seeds)} seeds, {failed} violations\n")
            return 130
    _say(f"\n{done} seeds, {steps} steps, {failed} violations in {time.monotonic() - began_s:.0f} s\n")
    return min(failed, 1)


def _one(work: tuple[int, Safeguard | None]) -> Outcome:
    return simulate(*work)


def _report(outcome: Outcome, without: Safeguard | None) -> None:
    if outcome.violation:
        option = f" --without '{without}'" if without else ""
        replay = f"python -m tests.simulation --seeds 1 --first {outcome.seed}{option}"
        _say(f"\rseed {outcome.seed} at step {outcome.steps}: {outcome.violation}\n")
        _say(f"  trace {outcome.digest[:16]}; to replay: {replay}\n")


def _progress(done: int, seeds: int, failed: int, elapsed_s: float) -> None:
    if sys.stdout.isatty() or done == seeds:
        _say(f"\r{done} of {seeds} seeds, {failed} violations, {done / max(elapsed_s, 0.001):.0f} seeds/s ")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
