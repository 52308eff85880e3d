"""Backups of a home made of a few files; a whole system's is in `tests/e2e/test_backup.py`."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from driftloop.featurestore.feast_keys import WATERMARKS, WATERMARKS_DDL
from driftloop.model.path_relocation import relocated_homes
from driftloop.ops.backup.manifest import NAME, FileEntry, Manifest, parse_manifest
from driftloop.ops.backup.restore import restore_backup
from driftloop.ops.backup.suspend import suspended
from driftloop.ops.backup.take import take_backup, writers
from driftloop.ops.system.incomplete_restore import VERIFIED, refuse_incomplete_restore
from driftloop.ops.system.supervisor import Running, Supervisor
from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.process.settings import ROOT, Settings
from driftloop.runner.tables import open_database
from tests.helpers.clock import FakeClock
from tests.helpers.eventually import assert_eventually
from tests.helpers.ports import free_port_base

pytestmark = [pytest.mark.integration]

FORMS = ("copy", "copy.tar")
WALL_MS = 1_700_000_000_000


def untold(_done: int, _total: int) -> None:
    """Progress that nobody looks at."""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home that nothing runs on: a database in WAL, features up to a watermark, a route, a lake, a topic."""
    monkeypatch.setattr(Supervisor, "alive", lambda _self: False)  # asking takes a second where nothing answers
    found = Settings(home=tmp_path / "home", port_base=free_port_base())
    home = found.home
    home.mkdir()
    engine = open_database(found.database_url("registry"))
    engine.dispose()
    _write(home / "lake/orders/events/placed/part-1.parquet", b"rows")
    _write(home / "lake/orders/events/placed/_delta_log/_last_checkpoint", b"{}")
    _write(home / "lake/orders/events/placed/part-2.parquet#1", b"not whole")
    _write(home / "kafka/data/orders-0/00000000000000000000.log", b"records")
    _write(home / "kafka/data/orders-0/00000000000000000000.index", b"\0" * 1000)
    _write(home / "kafka/data/.lock", b"")
    _write(home / "logs/kafka.log", b"chatter")
    _write(home / "spool/orders/000000000001.spool", b"frames")
    route = {"epoch": 3, "champion": {"release_id": "r-1", "digest": "00"}}
    _write(home / "triton/routes/orders.json", json.dumps(route).encode())
    _write(home / "triton/routes/orders.status.json", b"{}")
    found.online_db.parent.mkdir()
    with closing(sqlite3.connect(found.online_db)) as connection:
        connection.execute(WATERMARKS_DDL)
        marks = [("orders", "shop", 2_000), ("orders", "network", 1_000)]
        connection.executemany(f"INSERT INTO {WATERMARKS} VALUES (?, ?, ?)", marks)
        connection.commit()
    return found


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def backup(settings: Settings, name: str) -> tuple[Path, Manifest]:
    """A backup beside the home."""
    target = settings.home.parent / name
    return target, take_backup(settings, target, FakeClock(WALL_MS), untold).manifest


def elsewhere(settings: Settings) -> Settings:
    """The same system with another home."""
    return settings.model_copy(update={"home": settings.home.parent / "elsewhere"})


def files(home: Path) -> dict[str, bytes]:
    """Return the content of a home."""
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", FORMS)
def test_a_home_out_of_a_backup_has_all_of_its_state_and_nothing_else(settings: Settings, form: str) -> None:
    before = files(settings.home)
    source, manifest = backup(settings, form)
    other = elsewhere(settings)
    assert restore_backup(other, source, untold, force=False) == manifest
    found = files(other.home)
    left_out = {name for name in before if name not in found}
    assert {name: content for name, content in found.items() if name != "former-homes.json"} == {
        name: before[name] for name in before.keys() - left_out
    }
    assert {name for name in left_out if not name.startswith(("run/", "state/registry.db-", "online/online.db-"))} == {
        "lake/orders/events/placed/part-2.parquet#1",
        "kafka/data/orders-0/00000000000000000000.index",
        "kafka/data/.lock",
        "logs/kafka.log",
    }


@pytest.mark.parametrize("form", FORMS)
def test_it_says_of_what_moment_it_is_and_who_answered(settings: Settings, form: str) -> None:
    _, manifest = backup(settings, form)
    loop = manifest.loops["orders"]
    assert (loop.watermark_ms, loop.champion, loop.epoch) == (1_000, "r-1", 3)
    assert manifest.taken_wall_ms == WALL_MS
    assert manifest.revisions == {"registry.db": ("runner_0002",)}
    assert manifest.size == sum(each.size for each in manifest.files.values()) > 0


def test_a_restored_home_knows_every_home_that_its_events_may_name(settings: Settings) -> None:
    source, _ = backup(settings, "first")
    second = elsewhere(settings)
    restore_backup(second, source, untold, force=False)
    source, _ = backup(second, "second")
    third = settings.model_copy(update={"home": settings.home.parent / "third"})
    restore_backup(third, source, untold, force=False)
    assert {settings.home, second.home} <= set(relocated_homes(third.home))


def test_a_copied_database_has_what_was_committed_to_its_log(settings: Settings) -> None:
    path = settings.home / "state" / "registry.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("CREATE TABLE answers (number INTEGER)")
        connection.execute("INSERT INTO answers VALUES (42)")
        connection.commit()
        source, manifest = backup(settings, "copy.tar")
    assert "state/registry.db-wal" in manifest.files
    other = elsewhere(settings)
    restore_backup(other, source, untold, force=False)
    with closing(sqlite3.connect(other.home / "state" / "registry.db")) as connection:
        assert connection.execute("SELECT number FROM answers").fetchall() == [(42,)]


def test_a_backup_folder_is_closed_to_other_accounts(settings: Settings) -> None:
    (settings.home / "spool/orders/000000000001.spool").chmod(0o644)
    source, _ = backup(settings, "copy")
    assert [path for path in source.rglob("*.spool") if path.stat().st_mode & 0o077] == []


def _flip(path: Path, what: bytes) -> None:
    content = path.read_bytes()
    assert content.count(what) == 1
    path.write_bytes(content.replace(what, what.swapcase()))


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_file_is_named_and_nothing_is_restored(settings: Settings, form: str) -> None:
    source, _ = backup(settings, form)
    _flip(source / "spool/orders/000000000001.spool" if source.is_dir() else source, b"frames")
    _refused(elsewhere(settings), source, "000000000001.spool is damaged")


@pytest.mark.parametrize("form", FORMS)
def test_a_manifest_that_was_changed_is_refused(settings: Settings, form: str) -> None:
    source, _ = backup(settings, form)
    _flip(source / NAME if source.is_dir() else source, b'"champion": "r-1"')
    _refused(elsewhere(settings), source, "manifest.json is damaged")


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.5, 0.8])
def test_a_tar_file_that_was_cut_short_is_refused(settings: Settings, kept: float) -> None:
    source, _ = backup(settings, "copy.tar")
    os.truncate(source, int(source.stat().st_size * kept))
    _refused(elsewhere(settings), source, "copy.tar")


def test_a_tar_file_whose_manifest_was_cut_short_is_refused(settings: Settings) -> None:
    source, manifest = backup(settings, "copy.tar")
    with tarfile.open(source) as tar:
        at = tar.getmember(NAME).offset_data
    os.truncate(source, at + len(manifest.to_json()) // 2)
    _refused(elsewhere(settings), source, "copy.tar")


def test_a_folder_without_a_file_or_its_manifest_is_refused(settings: Settings) -> None:
    source, _ = backup(settings, "copy")
    (source / "spool/orders/000000000001.spool").unlink()
    _refused(elsewhere(settings), source, "000000000001.spool is missing")
    (source / NAME).unlink()
    _refused(elsewhere(settings), source, "not a complete backup")


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"driftloop": "99.0.0"}, r"newer driftloop \(version 99.0.0"),
        ({"revisions": {"registry.db": ["registry_9999"]}}, r"newer driftloop \(schema registry_9999"),
    ],
)
def test_a_backup_of_a_newer_version_is_refused(settings: Settings, said: dict[str, object], says: str) -> None:
    source, manifest = backup(settings, "copy")
    newer = Manifest.model_validate(manifest.model_dump() | said)
    (source / NAME).write_bytes(newer.to_json())
    _refused(elsewhere(settings), source, says)


def test_a_backup_of_a_newer_format_is_refused(settings: Settings) -> None:
    source, _ = backup(settings, "copy")
    (source / NAME).write_text(json.dumps(json.loads((source / NAME).read_text()) | {"format": 2, "more": 1}))
    _refused(elsewhere(settings), source, "has format 2, and this driftloop reads 1")


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "state/../../outside"])
def test_a_manifest_that_names_a_file_outside_of_the_home_is_refused(settings: Settings, name: str) -> None:
    _, manifest = backup(settings, "copy")
    [first, *_] = manifest.files.values()
    with pytest.raises(ConfigError, match="damaged"):
        parse_manifest(manifest.model_copy(update={"files": {name: first}}).to_json(), "copy")


def test_what_is_no_backup_is_refused(settings: Settings) -> None:
    other = settings.home.parent / "notes.txt"
    other.write_text("hello " * 1000)
    _refused(elsewhere(settings), other, "is not a backup")
    _refused(elsewhere(settings), settings.home.parent / "missing", "does not exist")


def _forge(source: Path, planted: dict[str, tuple[bytes, int]]) -> None:
    """Add files and their modes to a folder's manifest, as somebody does who can write the backup."""
    manifest = parse_manifest((source / NAME).read_bytes(), "forged")
    entries = dict(manifest.files)
    for name, (content, mode) in planted.items():
        _write(source / name, content)
        entries[name] = FileEntry(sha256=hashlib.sha256(content).hexdigest(), size=len(content), mtime_ns=0, mode=mode)
    (source / NAME).write_bytes(manifest.model_copy(update={"files": entries}).to_json())


def _as_tar(source: Path) -> Path:
    """Return the folder's backup as a tar file."""
    target = source.with_suffix(".tar")
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(source.rglob("*"), key=lambda path: path.name == NAME):
            if path.is_file():
                tar.add(path, path.relative_to(source).as_posix())
    return target


@pytest.mark.parametrize("form", FORMS)
def test_a_restored_file_is_for_its_owner_only_whatever_the_backup_says(settings: Settings, form: str) -> None:
    source, _ = backup(settings, "copy")
    modes = {f"spool/orders/{mode:o}.spool": (b"frames", mode) for mode in (0o4755, 0o2777, 0o1777, 0o7777, 0o666, 0)}
    _forge(source, modes)
    other = elsewhere(settings)
    restore_backup(other, source if form == "copy" else _as_tar(source), untold, force=False)
    assert {(other.home / name).stat().st_mode & 0o7777 for name in modes} == {0o600}
    assert (other.home / "state/registry.db").stat().st_mode & 0o7777 == 0o600
    assert other.home.stat().st_mode & 0o777 == 0o700


def test_models_that_the_serving_agent_renders_are_neither_copied_nor_restored(settings: Settings) -> None:
    _write(settings.home / "triton/models/orders/1/model.py", b"rendered")
    source, manifest = backup(settings, "copy")
    assert not [name for name in manifest.files if name.startswith("triton/models")]
    _forge(source, {"triton/models/orders/2/model.py": (b"planted", 0o644)})  # earlier versions copied them
    other = elsewhere(settings)
    restore_backup(other, source, untold, force=False)
    assert not (other.home / "triton/models").exists()
    assert (other.home / "triton/routes/orders.json").exists()


@pytest.mark.parametrize(
    "name",
    [
        "run/supervisor/control.sock", "secrets/triton-control", "feature_store.yaml", "triton/evil.py", "tritons/x",
        "triton/releases/r-1/__pycache__/m.pyc", "kafka/server.properties", "restore.whole/state/registry.db", "x",
        "./state/x", "state//registry.db", "state/./x.db", "state/a\nb.db", "lake/orders/part#1",
    ],
)  # fmt: skip
def test_a_file_that_no_backup_contains_is_refused(settings: Settings, name: str) -> None:
    source, _ = backup(settings, "copy")
    _forge(source, {name: (b"planted", 0o644)})
    _refused(elsewhere(settings), source, "damaged|is not part of a backup")


@pytest.mark.parametrize("kind", ["link", "link to a folder", "pipe", "socket", "device", "folder"])
def test_a_member_that_is_no_plain_file_is_refused(
    settings: Settings, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _ = backup(settings, "copy")
    path = source / "spool/orders/000000000001.spool"
    content = path.read_bytes()
    path.unlink()
    if kind == "link":
        _write(settings.home.parent / "other", content)
        path.symlink_to(settings.home.parent / "other")
    elif kind == "link to a folder":
        path.parent.rmdir()
        _write(settings.home.parent / "orders" / path.name, content)
        path.parent.symlink_to(settings.home.parent / "orders")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        monkeypatch.chdir(path.parent)  # a socket's address may have only 107 bytes
        with closing(socket.socket(socket.AF_UNIX)) as listener:
            listener.bind(path.name)
    elif kind == "device":
        try:
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("only root can make devices")
    else:
        path.mkdir()
    _refused(elsewhere(settings), source, "000000000001.spool is missing or no plain file")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_a_tar_member_that_is_no_plain_file_is_refused(settings: Settings, kind: bytes) -> None:
    source, _ = backup(settings, "copy")
    _write(settings.home.parent / "other", b"frames")
    target = source.with_suffix(".tar")
    with tarfile.open(target, "w") as tar:
        for path in source.rglob("*"):
            member = tar.gettarinfo(path, path.relative_to(source).as_posix())
            if path.name == "000000000001.spool":
                member.type, member.linkname, member.size = kind, str(settings.home.parent / "other"), 0
                tar.addfile(member)
            elif path.is_file():
                tar.addfile(member, io.BytesIO(path.read_bytes()))
    _refused(elsewhere(settings), target, "000000000001.spool is missing")


def test_a_mutated_tar_file_is_restored_whole_or_refused(settings: Settings) -> None:
    source, _ = backup(settings, "copy.tar")
    content = source.read_bytes()
    chance = random.Random(5)
    whole: set[str] = set()
    for number in range(150):
        mutated = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(0, len(content) // 512) * 512 + chance.randrange(512)
            mutated[at] = chance.randrange(256)
        source.write_bytes(mutated)
        other = settings.model_copy(update={"home": settings.home.parent / f"other-{number}"})
        try:
            restore_backup(other, source, untold, force=False)
        except ConfigError:
            assert files(other.home) == {}
        else:
            whole.add(str(sorted(files(other.home))))
    assert len(whole) <= 1


def _refused(other: Settings, source: Path, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        restore_backup(other, source, untold, force=False)
    assert "\n" not in str(refused.value)
    assert files(other.home) == {}


def test_a_home_that_has_state_is_replaced_only_by_force(settings: Settings) -> None:
    source, _ = backup(settings, "copy")
    before = files(settings.home)
    _write(settings.home / "lake/orders/events/placed/part-9.parquet", b"later")
    _write(settings.home / "demo/state/registry.db", b"the demo's")
    with pytest.raises(ConfigError, match=r"is not empty: it has state, .* --force"):
        restore_backup(settings, source, untold, force=False)
    assert (settings.home / "lake/orders/events/placed/part-9.parquet").exists()
    restore_backup(settings, source, untold, force=True)
    found = files(settings.home)
    assert "lake/orders/events/placed/part-9.parquet" not in found
    assert found["demo/state/registry.db"] == b"the demo's", "another system's home inside of this one is not its state"
    assert found["logs/kafka.log"] == before["logs/kafka.log"]


def test_damage_leaves_a_home_that_was_to_be_replaced_as_it_was(settings: Settings) -> None:
    source, _ = backup(settings, "copy")
    _flip(source / "spool/orders/000000000001.spool", b"frames")
    before = files(settings.home)
    with pytest.raises(ConfigError, match="is damaged"):
        restore_backup(settings, source, untold, force=True)
    assert files(settings.home) == before


def test_a_restore_that_was_cut_short_is_told_before_a_start_and_mended_by_another(settings: Settings) -> None:
    source, _ = backup(settings, "copy")
    other = elsewhere(settings)
    _write(other.home / VERIFIED / "state/registry.db", b"half")
    with pytest.raises(ConfigError, match="was interrupted"):
        refuse_incomplete_restore(other.home)
    with pytest.raises(ConfigError, match="not empty"):
        restore_backup(other, source, untold, force=False)
    restore_backup(other, source, untold, force=True)
    refuse_incomplete_restore(other.home)
    assert (other.home / "state/registry.db").read_bytes() == (source / "state/registry.db").read_bytes()


@pytest.mark.parametrize("form", FORMS)
def test_what_ends_a_backup_leaves_none(settings: Settings, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    target = settings.home.parent / form
    with pytest.raises(KeyboardInterrupt):
        take_backup(settings, target, FakeClock(WALL_MS), interrupted)
    assert [each.name for each in settings.home.parent.iterdir()] == ["home"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("copy.tar.gz", "name a .tar file, then compress that file"),
        ("home/state/copy", "is inside the copied files"),
        ("there", "exists already"),
    ],
)
def test_a_bad_place_is_refused_in_one_line(settings: Settings, name: str, says: str) -> None:
    (settings.home.parent / "there").mkdir()
    with pytest.raises(ConfigError, match=says) as refused:
        backup(settings, name)
    assert "\n" not in str(refused.value)


def test_state_that_stands_elsewhere_is_not_left_out_in_silence(settings: Settings) -> None:
    for more in (
        {"state_url": "postgresql://host/{service}"},
        {"kafka_bootstrap": "broker:9092"},
        {"online_url": "redis://cache"},
    ):
        with pytest.raises(ConfigError, match="places state outside of"):
            backup(settings.model_copy(update=more), "copy")


def test_a_home_without_state_is_refused(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="has no state"):
        backup(elsewhere(settings), "copy")


def test_two_backups_of_a_home_at_once_are_refused(settings: Settings) -> None:
    def second(_done: int, _total: int) -> None:
        with pytest.raises(ConfigError, match="another backup"):
            backup(settings, "second")

    take_backup(settings, settings.home.parent / "first", FakeClock(WALL_MS), second)
    assert (settings.home.parent / "first" / NAME).exists()
    assert not (settings.home.parent / "second").exists()


def test_a_home_whose_system_runs_on_other_ports_is_neither_copied_nor_replaced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _ = backup(settings, "copy")
    monkeypatch.setattr(Supervisor, "processes", lambda _self: {psutil.Process()})
    with pytest.raises(ConfigError, match="a system with other ports"):
        backup(settings, "second")
    with pytest.raises(ConfigError, match="driftloop down"):
        restore_backup(settings, source, untold, force=True)


# ---- suspended

_COUNTS = "import sys\nwhile True:\n    sys.stdout.write('.')\n    sys.stdout.flush()\n"


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[tuple[psutil.Process, Path]]:
    """A process that writes without an end, and where."""
    path = tmp_path / "dots"
    with path.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", _COUNTS], stdout=out)
    try:
        assert_eventually(lambda: path.stat().st_size, say="it writes")
        yield psutil.Process(process.pid), path
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def test_what_is_held_writes_nothing_and_goes_on_afterwards(counting: tuple[psutil.Process, Path]) -> None:
    process, path = counting
    with suspended([lambda: [process]]):
        assert process.status() == psutil.STATUS_STOPPED
        size = path.stat().st_size
    assert_eventually(lambda: path.stat().st_size > size, say="it writes again")


def test_it_goes_on_when_the_block_fails(counting: tuple[psutil.Process, Path]) -> None:
    process, _ = counting
    with pytest.raises(KeyboardInterrupt), suspended([lambda: [process]]):
        raise KeyboardInterrupt
    assert_eventually(lambda: process.status() != psutil.STATUS_STOPPED)


def test_one_that_was_not_held_spoils_the_moment(counting: tuple[psutil.Process, Path]) -> None:
    process, _ = counting
    found = [[process]]
    with pytest.raises(DriftloopError, match="it is inconsistent"), suspended([lambda: found[0]]):
        found[0] = [process, psutil.Process()]
    assert_eventually(lambda: process.status() != psutil.STATUS_STOPPED)


_HOLDS = """
import sys
import psutil
from driftloop.ops.backup.suspend import suspended
with suspended([lambda: [psutil.Process(int(sys.argv[1]))]]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_it_goes_on_when_whoever_holds_it_is_killed(counting: tuple[psutil.Process, Path]) -> None:
    process, path = counting
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(process.pid)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert process.status() == psutil.STATUS_STOPPED
        holder.kill()
    size = path.stat().st_size
    assert_eventually(lambda: path.stat().st_size > size, say="it writes again")


def test_the_services_are_suspended_before_kafka(settings: Settings, counting: tuple[psutil.Process, Path]) -> None:
    service, (kafka, _) = psutil.Process(), counting

    class Busy(Supervisor):
        def processes(self) -> set[psutil.Process]:
            return {service, kafka}

        def running(self) -> list[Running]:
            return [Running("kafka", "active", (kafka.pid,))]

        def daemon(self) -> None:
            return None

    assert [set(find()) for find in writers(Busy(settings))] == [{service}, {kafka}]
