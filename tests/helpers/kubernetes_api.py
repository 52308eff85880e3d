"""A Kubernetes API server for Jobs and Pods, with a node that runs a pod's command as a local process.

It answers as the real one does where the launcher depends on it: names are unique (409), objects have a uid and a
resourceVersion, a Job that is deleted in the foreground remains until its pod is gone, a Job ends by a condition, and a
pod's container is waiting, running or terminated.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from driftloop.process.settings import ROOT
from tests.helpers.processes import kill_all

NAMESPACE = "runs"
_JOBS = re.compile(r"/apis/batch/v1/namespaces/([^/]+)/jobs(?:/([^/]+))?$")
_PODS = re.compile(r"/api/v1/namespaces/([^/]+)/pods$")
_MESSAGE_BYTES = 2048

Json = dict[str, Any]


@dataclass
class Answer:
    """What a request is answered with."""

    code: int
    body: Json


def status(code: int, reason: str, message: str) -> Answer:
    """Return a refusal, as a `Status` object."""
    return Answer(code, {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message})


@dataclass
class KubernetesApi:
    """The server's objects and its node. ``folder`` gets the pods' logs."""

    folder: Path
    jobs: dict[str, Json] = field(default_factory=dict)
    pods: dict[str, Json] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    waiting: Json | None = None
    """State of a new pod's container, such as one without an image. None: it runs."""
    unschedulable: str = ""
    """Why the scheduler finds no node; empty: it finds one."""
    failing: Answer | None = None
    """Answer to every request, until it is None again."""
    created: list[Json] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _version: int = 0
    _threads: list[threading.Thread] = field(default_factory=list)
    port: int = 0

    @contextmanager
    def running(self) -> Iterator[KubernetesApi]:
        """Serve until the end of the block, then kill what still runs."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            self.kill_pods()
            for waiter in self._threads:
                waiter.join(60)

    def kubeconfig(self) -> Path:
        """Write and return the client's configuration."""
        context = {"cluster": "test", "user": "test", "namespace": NAMESPACE}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "test", "user": {"token": "token"}}],
            "contexts": [{"name": "test", "context": context}],
        }
        path = self.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def kill_pods(self) -> None:
        """Kill the processes of all pods."""
        for process in list(self.processes.values()):
            kill_all(process.pid)

    def end(self, name: str, state: Json | None, condition: Json) -> None:
        """End a Job as its controller would; ``state``: the container's, None if the pod is gone."""
        with self._lock:
            pod = self.pods[name]
            if state is None:
                del self.pods[name]
            else:
                pod["status"] = {"phase": "Failed", "containerStatuses": [_container(terminated=state)]}
            self._end_job(name, condition)

    def answer(self, method: str, path: str, body: Json) -> Answer:
        """Answer a request."""
        with self._lock:
            if self.failing is not None:
                return self.failing
            url = urlsplit(path)
            if match := _JOBS.match(url.path):
                return self._jobs(method, match[1], match[2], body, parse_qs(url.query))
            if _PODS.match(url.path) and method == "GET":
                selector = unquote(parse_qs(url.query)["labelSelector"][0])
                key, name = selector.split("=")
                found = [pod for pod in self.pods.values() if pod["metadata"]["labels"].get(key) == name]
                return Answer(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": deepcopy(found)})
            return status(404, "NotFound", f"the server could not find {url.path}")

    def _jobs(self, method: str, namespace: str, name: str | None, body: Json, query: dict[str, list[str]]) -> Answer:
        if method == "POST":
            return self._create(namespace, body)
        if name not in self.jobs:
            return status(404, "NotFound", f'jobs.batch "{name}" not found')
        if method == "DELETE":
            assert query["propagationPolicy"] == ["Foreground"]
            self.jobs[name]["metadata"]["deletionTimestamp"] = _now()
            if name in self.processes:
                self.processes[name].terminate()
            else:
                self._remove(name)
            return Answer(200, {"kind": "Status", "status": "Success"})
        return Answer(200, deepcopy(self.jobs[name]))

    def _create(self, namespace: str, job: Json) -> Answer:
        name = job["metadata"]["name"]
        if name in self.jobs:
            return status(409, "AlreadyExists", f'jobs.batch "{name}" already exists')
        self.created.append(deepcopy(job))
        self._version += 1
        job["metadata"] |= {
            "namespace": namespace,
            "uid": f"uid-{self._version}",
            "resourceVersion": str(self._version),
            "creationTimestamp": _now(),
        }
        job["status"] = {}
        self.jobs[name] = job
        self._start_pod(name, job)
        return Answer(201, deepcopy(job))

    def _start_pod(self, name: str, job: Json) -> None:
        template = job["spec"]["template"]
        labels = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": name}
        pod: Json = {"kind": "Pod", "apiVersion": "v1", "spec": template["spec"], "status": {"phase": "Pending"}}
        pod["metadata"] = {"name": f"{name}-x7k2p", "labels": labels, "creationTimestamp": _now()}
        self.pods[name] = pod
        job["status"]["active"] = 1
        if self.unschedulable:
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            pod["status"]["conditions"] = [{**condition, "message": self.unschedulable}]
        elif self.waiting:
            pod["status"]["containerStatuses"] = [_container(waiting=self.waiting)]
        else:
            self._run(name, pod)

    def _run(self, name: str, pod: Json) -> None:
        container = pod["spec"]["containers"][0]
        environment = {**os.environ, **{entry["name"]: entry["value"] for entry in container["env"]}}
        environment |= {"DRIFTLOOP_HOME": str(self.folder / "home"), "HOME": str(self.folder)}  # its mounted volume
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                container["command"], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes[name] = process
        pod["status"] = {"phase": "Running", "containerStatuses": [_container(running={"startedAt": _now()})]}
        waiter = threading.Thread(target=self._wait, args=(name, process), daemon=True)
        waiter.start()
        self._threads.append(waiter)

    def _wait(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Act as kubelet and as the Job's controller once the container has ended."""
        code = process.wait()
        with self._lock:
            del self.processes[name]
            job = self.jobs[name]
            if "deletionTimestamp" in job["metadata"]:
                self._remove(name)
                return
            exit_code = 128 - code if code < 0 else code
            terminated: Json = {"exitCode": exit_code, "reason": "Error" if code else "Completed"}
            if code:
                log = (self.folder / f"{name}.log").read_bytes()[-_MESSAGE_BYTES:]
                terminated["message"] = log.decode(errors="replace")
            phase = "Failed" if code else "Succeeded"
            self.pods[name]["status"] = {"phase": phase, "containerStatuses": [_container(terminated=terminated)]}
            failure = {"type": "Failed", "reason": "BackoffLimitExceeded"}
            failure["message"] = "Job has reached the specified backoff limit"
            self._end_job(name, failure if code else {"type": "Complete"})

    def _end_job(self, name: str, condition: Json) -> None:
        self._version += 1
        self.jobs[name]["metadata"]["resourceVersion"] = str(self._version)
        self.jobs[name]["status"] = {"conditions": [{"status": "True", **condition}]}

    def _remove(self, name: str) -> None:
        del self.jobs[name]
        self.pods.pop(name, None)


def _container(**state: Json) -> Json:
    ready = "running" in state
    return {"name": "run", "state": state, "ready": ready, "restartCount": 0, "image": "", "imageID": ""}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _handler(api: KubernetesApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            answer = api.answer(self.command, self.path, body)
            content = json.dumps(answer.body).encode()
            self.send_response(answer.code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = respond  # noqa: N815

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    return Handler
