"""``driftloop backup`` and ``driftloop restore``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from driftloop.events.envelope import rfc3339
from driftloop.ops.backup.manifest import Manifest
from driftloop.ops.backup.restore import restore_backup
from driftloop.ops.backup.take import Progress, take_backup
from driftloop.ops.cli.interrupts import Interrupts
from driftloop.ops.cli.output import console, echo, echo_json
from driftloop.ops.cli.types import examples
from driftloop.process.clock import SystemClock
from driftloop.process.settings import Settings

_JSON = click.option("--json", "as_json", is_flag=True, help="Print its contents as JSON.")
_PATH = click.Path(path_type=Path)


@click.command(epilog=examples("driftloop backup /mnt/copies/monday", "driftloop backup monday.tar --json"))
@click.argument("target", type=_PATH, metavar="FILE.tar|FOLDER")
@_JSON
def backup(target: Path, as_json: bool) -> None:
    """Copy all state to FILE.tar or FOLDER, as it is at one moment, whether the system runs or not.

    If the system runs, services and Kafka are suspended while files that change are copied. Events wait; predictions
    are answered. Ctrl-C removes the unfinished backup, and the system continues.
    """
    settings, interrupts = Settings(), Interrupts()
    try:
        with _progress_bar("copying") as progress:
            interrupts.allow_interrupt()
            made = take_backup(settings, target, SystemClock(), progress)
    finally:
        interrupts.defer_signals()
    if as_json:
        echo_json(_summary_json(made.manifest) | {"still_s": made.suspended_s, "total_s": made.total_s})
        return
    echo(f"{target}: {_summary(made.manifest)}, in {made.total_s:.1f} s")
    if made.suspended_s:
        echo(f"services and Kafka were suspended for {made.suspended_s:.1f} s; predictions were answered meanwhile")
    _print_loops(made.manifest)


@click.command(
    epilog=examples(
        "DRIFTLOOP_HOME=/srv/driftloop driftloop restore monday.tar", "driftloop restore monday.tar --force"
    )
)
@click.argument("source", type=_PATH, metavar="FILE.tar|FOLDER")
@click.option("--force", is_flag=True, help="Replace existing state.")
@_JSON
def restore(source: Path, force: bool, as_json: bool) -> None:
    """Copy a backup into DRIFTLOOP_HOME, which must be empty, while no system runs on it.

    Every file's sha256 is checked before anything changes. `driftloop up` then continues from the backup.
    """
    settings, interrupts = Settings(), Interrupts()
    try:
        with _progress_bar("verifying") as progress:
            interrupts.allow_interrupt()
            manifest = restore_backup(settings, source, progress, force=force, decided=interrupts.defer_signals)
    finally:
        interrupts.defer_signals()
    if as_json:
        echo_json(_summary_json(manifest) | {"home": str(settings.home)})
        return
    echo(f"{settings.home}: {_summary(manifest)}, verified and restored; `driftloop up` starts it")
    _print_loops(manifest)


@contextmanager
def _progress_bar(description: str) -> Iterator[Progress]:
    """Show a progress bar on standard error if that is a terminal."""
    terminal = console(err=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bar(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _summary(manifest: Manifest) -> str:
    moment = rfc3339(manifest.taken_wall_ms)
    return f"{len(manifest.files):,} files, {manifest.size / 2**20:,.0f} MiB, as of {moment}"


def _print_loops(manifest: Manifest) -> None:
    for name, loop in manifest.loops.items():
        features = "no features yet" if loop.watermark_ms is None else f"event time {rfc3339(loop.watermark_ms)}"
        champion = f"champion {loop.champion}, epoch {loop.epoch}" if loop.champion else "no champion"
        echo(f"  {name}: {features}; {champion}")


def _summary_json(manifest: Manifest) -> dict[str, Any]:
    """Return the manifest with the number of files instead of their list."""
    return manifest.model_dump(mode="json") | {"files": len(manifest.files), "bytes": manifest.size}
