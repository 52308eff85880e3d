"""Copies releases to MLflow's model registry: one model per loop, one version per release, two aliases.

Uses MLflow's REST API 2.0, because its Python client costs 156 MiB and four seconds for six calls.
"""

from __future__ import annotations

import http.client
import json
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from driftloop.process.errors import ConfigError, Retriable
from services.registry.ports import MirroredRelease

ALIASES = ("champion", "challenger")
RUN_TAG = "driftloop.run_id"
"""Tag that finds a release's training run, whose artifacts hold the release in the folder `bundle`."""
_BUNDLE = "bundle"
_API = "/api/2.0/mlflow/"
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,47}$")
_ID = re.compile(r"^[A-Za-z0-9._-]{1,128}$")
_MISSING = "RESOURCE_DOES_NOT_EXIST"
_EXISTS = "RESOURCE_ALREADY_EXISTS"


class MlflowError(Retriable):
    """MLflow answered with an error."""

    def __init__(self, call: str, code: str, message: str) -> None:
        super().__init__(f"MLflow refused {call}: {code}: {message[:300]}")
        self.code = code


@dataclass(frozen=True)
class Api:
    """Opens a connection per call; every wait has a limit."""

    uri: str
    timeout_s: float

    def call(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Call and decode.

        Raises:
            Refused: the answer is an error; ``code`` is MLflow's.
            Retriable: there is no answer.
        """
        parsed = urllib.parse.urlsplit(self.uri)
        kind = http.client.HTTPSConnection if parsed.scheme == "https" else http.client.HTTPConnection
        connection = kind(parsed.hostname or "", parsed.port, timeout=self.timeout_s)
        target = parsed.path.rstrip("/") + _API + path
        try:
            if method == "GET":
                connection.request(method, f"{target}?{urllib.parse.urlencode(body)}")
            else:
                connection.request(method, target, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Retriable(f"MLflow at {self.uri} does not answer: {error}") from error
        finally:
            connection.close()
        return _decoded(path, answer.status, content)


class MlflowRegistry:
    """`services.registry.ports.ModelRegistry` over MLflow."""

    def __init__(self, uri: str, timeout_s: float) -> None:
        if urllib.parse.urlsplit(uri).scheme not in ("http", "https"):
            raise ConfigError(f"mlflow_uri is {uri!r}; give the address of a server, as http://HOST:PORT")
        self._api = Api(uri, timeout_s)

    def ensure_version(self, loop: str, release: MirroredRelease, known_version: str) -> str:
        _check(loop, release)
        self._ensure_model(loop)
        try:
            version = known_version or self._find(loop, release) or self._create(loop, release)
        except (KeyError, IndexError, TypeError) as error:
            raise Retriable(f"MLflow's answer lacks {error}") from error
        of_version = {"name": loop, "version": version}
        for key, value in _tags(release).items():
            self._api.call("POST", "model-versions/set-tag", {**of_version, "key": key, "value": value})
        return version

    def set_aliases(self, loop: str, versions: Mapping[str, str]) -> None:
        for alias in ALIASES:
            named = {"name": loop, "alias": alias}
            if alias in versions:
                self._api.call("POST", "registered-models/alias", {**named, "version": versions[alias]})
            else:
                self._call_or_empty("DELETE", "registered-models/alias", named)

    def _ensure_model(self, loop: str) -> None:
        try:
            self._api.call("POST", "registered-models/create", {"name": loop})
        except MlflowError as error:
            if error.code != _EXISTS:
                raise

    def _find(self, loop: str, release: MirroredRelease) -> str:
        criteria = f"name = '{loop}' and tags.release_id = '{release.release_id}'"
        answer = self._api.call("GET", "model-versions/search", {"filter": criteria, "max_results": 1})
        versions = answer.get("model_versions", [])
        return str(versions[0]["version"]) if versions else ""

    def _create(self, loop: str, release: MirroredRelease) -> str:
        """Create a version from the training run's artifacts, or with the release's name if the run is missing."""
        run = self._run(loop, release)
        source = {"source": f"driftloop://{loop}/{release.release_id}"}
        if run:
            source = {"source": f"{run['artifact_uri']}/{_BUNDLE}", "run_id": run["run_id"]}
        tags = [{"key": key, "value": value} for key, value in _tags(release).items()]
        answer = self._api.call("POST", "model-versions/create", {"name": loop, **source, "tags": tags})
        return str(answer["model_version"]["version"])

    def _run(self, loop: str, release: MirroredRelease) -> dict[str, Any] | None:
        experiment = self._call_or_empty("GET", "experiments/get-by-name", {"experiment_name": loop})
        if not experiment:
            return None
        criteria = f"tags.`{RUN_TAG}` = '{release.run_id}'"
        wanted = {"experiment_ids": [experiment["experiment"]["experiment_id"]], "filter": criteria, "max_results": 1}
        runs = self._api.call("POST", "runs/search", wanted).get("runs", [])
        return dict(runs[0]["info"]) if runs else None

    def _call_or_empty(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._api.call(method, path, body)
        except MlflowError as error:
            if error.code != _MISSING:
                raise
            return {}


def _tags(release: MirroredRelease) -> dict[str, str]:
    return {
        "release_id": release.release_id,
        "run_id": release.run_id,
        "digest": release.bundle_digest,
        "bundle_uri": release.bundle_uri,
        "stage": release.stage,
        "epoch": str(release.epoch),
    }


def _check(loop: str, release: MirroredRelease) -> None:
    """Refuse names with quotes, because names go into filters."""
    if not _NAME.match(loop) or not _ID.match(release.release_id) or not _ID.match(release.run_id):
        raise Retriable(f"{loop!r}, {release.release_id!r} or {release.run_id!r} is not a name to give to MLflow")


def _decoded(path: str, status: int, content: bytes) -> dict[str, Any]:
    try:
        data = json.loads(content or b"{}")
    except ValueError:
        data = {"error_code": f"HTTP {status}", "message": content[:200].decode(errors="replace")}
    if status != 200 or not isinstance(data, dict):
        body = data if isinstance(data, dict) else {}
        raise MlflowError(path, str(body.get("error_code", f"HTTP {status}")), str(body.get("message", "")))
    return data
