"""Runs a service on one instance at a time. The other instances wait as standbys, ready to take over.

An instance is named after its machine, its home and `DRIFTLOOP_INSTANCE`. A file lock in the home shows that no other
process of that name lives. So a restarted process takes its own lease over at once. A standby of another name waits
until the lease expires.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import inspect
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, TypeVar

from sqlalchemy.exc import OperationalError

from driftloop.process import log
from driftloop.process.clock import SystemClock
from driftloop.process.errors import ConfigError
from driftloop.process.serve import Service
from driftloop.process.settings import Settings
from driftloop.runner import metrics
from driftloop.runner.lease import Lease, Renewals
from driftloop.runner.tables import connect

_POLL_S = 1.0

SettingsT = TypeVar("SettingsT", bound=Settings, contravariant=True)


class Build(Protocol[SettingsT]):
    """Builds a service whose write transactions check the lease."""

    def __call__(self, settings: SettingsT, stop: threading.Event, lease: Lease) -> Service: ...


def alone(
    name: str, build: Build[SettingsT], *, answers_requests: bool = False
) -> Callable[[SettingsT, threading.Event], OneInstance]:
    """Return a function for `driftloop.process.serve.serve` that builds a service once this instance has the lease.

    ``answers_requests``: a standby is not ready, so that a load balancer sends requests to the other instance only.
    """

    def build_alone(settings: SettingsT, stop: threading.Event) -> OneInstance:
        lease = _lease(name, settings)
        lock = _lock_path(name, settings)
        return OneInstance(lease, lambda: build(settings, stop, lease), stop, lock, ready=not answers_requests)

    return build_alone


def _lock_path(name: str, settings: Settings) -> Path:
    return settings.home / "run" / f"{name}{settings.instance and '-' + settings.instance}.lock"


@contextmanager
def locked(name: str, settings: Settings) -> Iterator[None]:
    """Hold the lock of a service's process, so that none starts with this home and instance.

    Raises:
        ConfigError: one runs.
    """
    path = _lock_path(name, settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{name} runs with the home {settings.home}; stop it first") from None
        yield


@contextmanager
def exclusive(name: str, settings: Settings) -> Iterator[Lease]:
    """Hold the lease of a service for a command. No process of this home works as the service.

    Raises:
        ConfigError: an instance of the service has the lease.
    """
    lease = _lease(name, settings)
    if not lease.acquire(alone=True):
        lease.close()
        raise ConfigError(
            f"another machine runs {name}, or did so until {settings.lease_s:.0f} s ago; stop it first, or let it "
            f"start and stop once if it died: the table leases of {name}'s database names it"
        )
    renewals = Renewals(lease, lambda: None)
    renewals.start()
    try:
        yield lease
    finally:
        renewals.end()


def _lease(name: str, settings: Settings) -> Lease:
    engine = connect(settings.database_url(name))
    return Lease(engine, name, instance_name(settings), SystemClock(), settings.lease_s)


def instance_name(settings: Settings) -> str:
    """Return the name of this instance. Of the processes with one name, one at most holds the lock in its home.

    SQLite's files are in the home, so they stay with the instance when the home moves to another path or machine.
    """
    home = f"{socket.gethostname()}:{settings.home.resolve()}" if settings.state_url else "home"
    return f"{home}#{settings.instance}" if settings.instance else home


class OneInstance:
    """A `driftloop.process.serve.Service` that is a standby until it has the lease.

    If it has the lease at the start, it builds the service at once. ``ready``: whether a standby is ready.
    """

    def __init__(
        self, lease: Lease, build: Callable[[], Service], stop: threading.Event, lock: Path, *, ready: bool = True
    ) -> None:
        self._lease = lease
        self._build = build
        self._stop = stop
        self._lock_path = lock
        self._standby_ready = ready
        self._lock: IO[str] | None = None
        self._service: Service | None = None
        self._renewals = Renewals(lease, stop.set)
        self._log = log.get(__name__)
        self._show()
        if self._acquire():
            self._start()

    def ready(self) -> bool:
        """Return whether the service accepts work; a standby is ready to take over, unless it would get requests."""
        return self._standby_ready if self._service is None else self._service.ready()

    def role(self) -> str:
        return "standby" if self._service is None else "leader"

    def run(self) -> None:
        """Wait for the lease, then run the service until it ends or another instance has taken the lease.

        Raises:
            LeaseLost: another instance has taken it.
        """
        service = self._service or self._wait()
        if service is None:
            return
        try:
            running = service.run()
            if inspect.isawaitable(running):
                asyncio.run(_finish(running))
        finally:
            self._renewals.end()
        if self._renewals.lost is not None:
            raise self._renewals.lost

    def _wait(self) -> Service | None:
        """Wait as a standby; return the service, or None if the process must stop first."""
        self._log.info("standby", lease=self._lease.name)
        while not self._stop.wait(min(_POLL_S, self._lease.renew_every_s)):
            try:
                is_owner = self._acquire()
            except OperationalError as error:  # the database restarts: it is asked again
                self._log.warning("lease-not-read", problem=str(error.orig))
                continue
            if is_owner:
                self._log.info("took-over", lease=self._lease.name, epoch=self._lease.epoch)
                service = self._start()
                gc.collect()
                gc.freeze()  # as in `serve`, which did so before this service was built
                return service
        return None

    def _acquire(self) -> bool:
        return self._lease.acquire(alone=self._is_alone())

    def _is_alone(self) -> bool:
        """Return whether no other process of this name lives. The file stays locked until this process ends."""
        if self._lock is None:
            self._lock_path.parent.mkdir(parents=True, exist_ok=True)
            lock = self._lock_path.open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                return False
            self._lock = lock
        return True

    def _start(self) -> Service:
        self._renewals.start()
        try:
            service = self._build()
        except BaseException:
            self._renewals.end()
            raise
        self._service = service
        self._show()
        return service

    def _show(self) -> None:
        metrics.LEADS.set(float(self._service is not None), service=self._lease.name)
        metrics.LEASE_EPOCH.set(self._lease.epoch, service=self._lease.name)


async def _finish(running: Awaitable[None]) -> None:
    await running
