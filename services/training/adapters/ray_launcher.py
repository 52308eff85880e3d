"""Launches runs as jobs of a Ray cluster, over its HTTP interface: https://docs.ray.io, "Ray Jobs REST API".

A run's id is the job's submission id, which Ray accepts once. The job executes `services.training.run.remote`: spec and
result pass through a shared folder, and the job enforces the limits of time and memory, because Ray only reserves them.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from driftloop.process.errors import ConfigError, Retriable
from driftloop.process.object_store import Folder
from driftloop.process.redaction import redact
from services.training.config import RaySettings
from services.training.errors import LaunchRefused
from services.training.ports import Observation
from services.training.spec import RUNS, Failed, RunSpec, copy_spec, read_result

COMMAND = ("python", "-m", "services.training.run.remote")
SPEC_KEY = "driftloop_spec"
"""Key of a job's metadata with the address of its spec."""

_TIMEOUT_S = 30.0
"""Ray looks for a machine that starts the job before it answers."""
_TAIL_LINES = 20


class RayLauncher:
    """`services.training.ports.Launcher` with Ray jobs. ``shared`` is the folder that jobs and this process reach."""

    outlives_service = True

    def __init__(
        self,
        settings: RaySettings,
        shared: Folder,
        environment: Mapping[str, str],
        *,
        command: Sequence[str] = COMMAND,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._shared = shared
        self._environment = environment
        self._command = command
        self._monotonic = monotonic
        self._pending_since: dict[str, float] = {}
        self._client = httpx2.Client(base_url=settings.ray_address, timeout=_TIMEOUT_S)

    @property
    def start_limit_s(self) -> float:
        return self._settings.launcher_start_limit_s

    def launch(self, spec: RunSpec) -> None:
        url = copy_spec(spec, self._folder(spec))
        answer = self._request("POST", "/api/jobs/", self._job(spec, url))
        if answer.is_success:
            return
        # Ray answers 500 to an id that it has, as to its own errors
        job = self._details(spec)
        if job is not None:
            owner = (job["metadata"] or {}).get(SPEC_KEY)
            if owner != url:
                raise LaunchRefused(f"the Ray job {job_id(spec)} belongs to {owner}; use a cluster for each system")
        elif answer.is_server_error:
            raise Retriable(f"Ray does not take the job {job_id(spec)}: {_last_line(answer)}")
        else:
            raise LaunchRefused(f"Ray refuses the job {job_id(spec)}: {_last_line(answer)}")

    def _job(self, spec: RunSpec, url: str) -> dict[str, Any]:
        memory_mib = spec.memory_limit_mib + self._settings.ray_extra_memory_mib
        return {
            "submission_id": job_id(spec),
            "entrypoint": shlex.join([*self._command, "--spec", url]),
            "entrypoint_num_cpus": self._settings.ray_cpus,
            "entrypoint_num_gpus": self._settings.ray_gpus,
            "entrypoint_memory": memory_mib << 20,
            "entrypoint_resources": self._settings.ray_resources,
            "runtime_env": {"env_vars": dict(self._environment)},
            "metadata": {SPEC_KEY: url, "loop": spec.loop},
        }

    def observe(self, spec: RunSpec) -> Observation:
        job = self._details(spec)
        state = job["status"] if job is not None else "ABSENT"
        if job is not None and state in ("PENDING", "RUNNING"):
            return self._active(spec, job)
        self._pending_since.pop(spec.run_id, None)
        result = read_result(self._folder(spec))
        if result is None and job is not None and state in ("SUCCEEDED", "FAILED"):
            result = self._failure(spec, job)
        if result is None and state == "STOPPED":
            self._request("DELETE", f"/api/jobs/{job_id(spec)}")  # frees the id, so that the run can be launched again
        return Observation("ended", result=result) if result is not None else Observation("absent")

    def _active(self, spec: RunSpec, job: Mapping[str, Any]) -> Observation:
        """Return the state of a run that has not ended: pending until its process runs."""
        if job["status"] == "RUNNING":
            self._pending_since.pop(spec.run_id, None)
            return Observation("running")
        since = self._pending_since.setdefault(spec.run_id, self._monotonic())
        waited_s = self._monotonic() - since
        if waited_s <= self.start_limit_s:
            return Observation("pending")
        return Observation(
            "pending", overdue=Failed("error", f"did not start within {waited_s:.0f} s: {job['message']}")
        )

    def _failure(self, spec: RunSpec, job: Mapping[str, Any]) -> Failed:
        """Return the failure of a job that ended without a result."""
        if job["status"] == "SUCCEEDED":
            return Failed("error", f"the Ray job ended without a result in {self._folder(spec)}")
        answer = self._request("GET", f"/api/jobs/{job_id(spec)}/logs")
        logs = redact(answer.json()["logs"]).splitlines()[-_TAIL_LINES:] if answer.is_success else []
        code = job.get("driver_exit_code")
        first = f"exit code {code}" if code is not None else redact(str(job["message"]))
        return Failed("error", "\n".join([first, *logs]))

    def stop(self, spec: RunSpec) -> None:
        self._pending_since.pop(spec.run_id, None)
        answer = self._request("POST", f"/api/jobs/{job_id(spec)}/stop")
        if not answer.is_success and answer.status_code != httpx2.codes.NOT_FOUND:
            raise Retriable(f"Ray does not stop the job {job_id(spec)}: {_last_line(answer)}")

    def close(self) -> None:
        self._client.close()

    def _details(self, spec: RunSpec) -> dict[str, Any] | None:
        """Return what Ray knows about the run's job, or None if there is none."""
        answer = self._request("GET", f"/api/jobs/{job_id(spec)}")
        if answer.status_code == httpx2.codes.NOT_FOUND:
            return None
        if not answer.is_success:
            raise Retriable(f"Ray does not show the job {job_id(spec)}: {_last_line(answer)}")
        details: dict[str, Any] = answer.json()
        return details

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx2.Response:
        try:
            return self._client.request(method, path, json=body, headers=self._headers())
        except httpx2.HTTPError as error:
            raise Retriable(f"Ray at {self._settings.ray_address}: {error or type(error).__name__}") from error

    def _headers(self) -> dict[str, str]:
        """Return the token's header. The file is read each time, because tokens change."""
        path = self._settings.ray_token_file
        if not path:
            return {}
        try:
            return {"Authorization": f"Bearer {Path(path).read_text().strip()}"}
        except OSError as error:
            problem = f"DRIFTLOOP_RAY_TOKEN_FILE is {path!r}, which cannot be read ({type(error).__name__})"
            raise ConfigError(problem) from error

    def _folder(self, spec: RunSpec) -> Folder:
        return self._shared / RUNS / spec.loop / spec.run_id


def job_id(spec: RunSpec) -> str:
    """Return the submission id of a run's job."""
    return f"driftloop-run-{spec.run_id}"


def _last_line(answer: httpx2.Response) -> str:
    """Return the cause that Ray gives: the last line of a traceback."""
    lines = answer.text.strip().splitlines() or [f"HTTP status {answer.status_code}"]
    return redact(lines[-1])
