"""The HTTP interface of Ray's jobs, with a machine that runs a job's command as a local process.

It answers as a real cluster does where the launcher depends on it: an id is accepted once, and the second time the
answer is a traceback with status 500; a job that has stopped keeps its id until it is deleted. `make proofs` runs the
same tests on a real cluster.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.helpers.processes import kill_all

_JOB = re.compile(r"^/api/jobs/([^/]+)(/stop|/logs)?$")

Json = dict[str, Any]


@dataclass
class RayApi:
    """The jobs by id. ``folder`` gets their logs."""

    folder: Path
    jobs: dict[str, Json] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    full: bool = False
    """Whether the cluster has no room for a job."""
    failing: tuple[int, str] | None = None
    """Status and text of every answer, until it is None again."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Headers of all requests."""
    submitted: list[Json] = field(default_factory=list)
    port: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _threads: list[threading.Thread] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[RayApi]:
        """Serve until the end of the block, then kill what still runs."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            self.kill_jobs()
            for waiter in self._threads:
                waiter.join(60)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill_jobs(self) -> None:
        """Kill the processes of all jobs."""
        for process in list(self.processes.values()):
            kill_all(process.pid)

    def answer(self, method: str, path: str, body: Json) -> tuple[int, str]:
        """Answer a request."""
        with self._lock:
            if self.failing is not None:
                return self.failing
            if (method, path) == ("POST", "/api/jobs/"):
                return self._submit(body)
            match = _JOB.match(path)
            if match is None or match[1] not in self.jobs:
                return 404, f"Job {match and match[1]} does not exist"
            return self._about(method, match[1], match[2])

    def _about(self, method: str, name: str, part: str | None) -> tuple[int, str]:
        if part == "/logs":
            return 200, json.dumps({"logs": (self.folder / f"{name}.log").read_text()})
        if part == "/stop":
            if name in self.processes:
                self.jobs[name]["stopping"] = True
                self.processes[name].terminate()
            elif self.jobs[name]["status"] == "PENDING":
                self.jobs[name]["status"] = "STOPPED"
            return 200, json.dumps({"stopped": True})
        if method == "DELETE":
            assert name not in self.processes
            del self.jobs[name]
            return 200, json.dumps({"deleted": True})
        return 200, json.dumps(self.jobs[name])

    def _submit(self, body: Json) -> tuple[int, str]:
        name = body["submission_id"]
        if name in self.jobs:
            return 500, f"Traceback (most recent call last):\nValueError: Job with submission_id {name} already exists."
        self.submitted.append(body)
        message = "Job has not started yet. It may be waiting for resources (CPUs, GPUs, memory) to become available."
        job = {"status": "PENDING", "message": message, "metadata": body["metadata"], "driver_exit_code": None}
        self.jobs[name] = job
        if not self.full:
            self._run(name, body)
        return 200, json.dumps({"submission_id": name, "job_id": name})

    def _run(self, name: str, body: Json) -> None:
        environment = {**os.environ, "DRIFTLOOP_HOME": str(self.folder / "home"), **body["runtime_env"]["env_vars"]}
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                shlex.split(body["entrypoint"]), env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes[name] = process
        self.jobs[name] |= {"status": "RUNNING", "message": "Job is currently running."}
        waiter = threading.Thread(target=self._wait, args=(name, process), daemon=True)
        waiter.start()
        self._threads.append(waiter)

    def _wait(self, name: str, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        with self._lock:
            del self.processes[name]
            job = self.jobs[name]
            status = "STOPPED" if job.get("stopping") else "FAILED" if code else "SUCCEEDED"
            job |= {"status": status, "message": f"Job entrypoint command exited: {code}", "driver_exit_code": code}


def _handler(api: RayApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            api.headers.append(dict(self.headers))
            code, text = api.answer(self.command, self.path, body)
            content = text.encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = respond  # noqa: N815

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    return Handler
