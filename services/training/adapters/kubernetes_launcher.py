"""Launches runs as Kubernetes Jobs.

A run's id names its Job, so a second launch finds the first. The Job's pod executes `services.training.run.remote`:
spec and result pass through a folder in a bucket, and the pod enforces the limits of time and memory. What the pod
cannot report itself (no node, no image, killed by the kernel, lost) is read from the states of Job and pod.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import httpx2
from lightkube import ApiError, Client
from lightkube import ConfigError as ClientConfigError
from lightkube.models.batch_v1 import JobCondition
from lightkube.models.core_v1 import ContainerStateTerminated
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod
from lightkube.types import CascadeType

from driftloop.process.errors import ConfigError, Retriable
from driftloop.process.object_store import Folder
from driftloop.process.redaction import redact
from services.training.config import KubernetesSettings
from services.training.errors import LaunchRefused
from services.training.ports import Observation
from services.training.spec import RUNS, Failed, RunSpec, copy_spec, read_result

COMMAND = ("python", "-m", "services.training.run.remote")
HOME = "/var/lib/driftloop"
"""Home of a run in its pod: an empty folder, which is deleted with the pod."""
SPEC_ANNOTATION = "driftloop.io/spec"

_JOB_LABEL = "batch.kubernetes.io/job-name"
_TEMPORARY = (408, 429)


class KubernetesLauncher:
    """`services.training.ports.Launcher` with Jobs. ``shared`` is the folder that pods and this process reach."""

    outlives_service = True

    def __init__(
        self,
        settings: KubernetesSettings,
        shared: Folder,
        environment: Mapping[str, str],
        *,
        command: Sequence[str] = COMMAND,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raise ConfigError if there is no address of a cluster."""
        try:
            self._client = Client(namespace=settings.kubernetes_namespace or None, field_manager="driftloop")
        except ClientConfigError as error:
            raise ConfigError(f"Kubernetes: {error}; set KUBECONFIG, or run in a pod with a service account") from error
        self._settings = settings
        self._shared = shared
        self._environment = environment
        self._command = command
        self._monotonic = monotonic
        self._pending_since: dict[str, float] = {}

    @property
    def start_limit_s(self) -> float:
        return self._settings.launcher_start_limit_s

    def launch(self, spec: RunSpec) -> None:
        url = copy_spec(spec, self._folder(spec))
        job = job_of(spec, url, self._settings, self._environment, self._command)
        try:
            with _translated():
                self._client.create(cast("Job", Job.from_dict(job)))
        except _Refused as error:
            if error.code != httpx2.codes.CONFLICT:
                raise LaunchRefused(f"Kubernetes refuses the Job {job['metadata']['name']}: {error}") from error
            self._check_existing(spec, url)

    def _check_existing(self, spec: RunSpec, url: str) -> None:
        """Return if the Job of that name is this run's."""
        job = self._job(spec)
        if job is None or _metadata(job).deletionTimestamp is not None:
            raise Retriable(f"the Job {job_name(spec)} is being deleted")
        owner = (_metadata(job).annotations or {}).get(SPEC_ANNOTATION)
        if owner != url:
            name = f"{_metadata(job).namespace}/{job_name(spec)}"
            raise LaunchRefused(f"the Job {name} belongs to {owner}; use a namespace for each system")

    def observe(self, spec: RunSpec) -> Observation:
        job = self._job(spec)
        if job is None:
            result = read_result(self._folder(spec))
            return Observation("ended", result=result) if result is not None else Observation("absent")
        conditions = {condition.type: condition for condition in (job.status and job.status.conditions) or []}
        conditions = {kind: condition for kind, condition in conditions.items() if condition.status == "True"}
        failed = conditions.get("Failed")
        if failed is not None or "Complete" in conditions:
            self._pending_since.pop(spec.run_id, None)
            result = read_result(self._folder(spec)) or self._failure(spec, failed)
            return Observation("ended", result=result)
        return self._active(spec)

    def _active(self, spec: RunSpec) -> Observation:
        """Return the state of a run that has not ended: pending until its container runs."""
        pod = self._newest_pod(spec)
        if pod is not None and _is_running(pod):
            self._pending_since.pop(spec.run_id, None)
            return Observation("running")
        since = self._pending_since.setdefault(spec.run_id, self._monotonic())
        waited_s = self._monotonic() - since
        if waited_s <= self.start_limit_s:
            return Observation("pending")
        reason = _waiting_reason(pod) if pod else f"it has no pod; see: kubectl describe job {job_name(spec)}"
        return Observation("pending", overdue=Failed("error", f"did not start within {waited_s:.0f} s: {reason}"))

    def _failure(self, spec: RunSpec, condition: JobCondition | None) -> Failed:
        """Return the failure of a Job that ended without a result."""
        if condition is None:
            return Failed("error", f"the Job ended without a result in {self._folder(spec)}")
        if condition.reason == "DeadlineExceeded":
            return Failed("timeout", f"the Job had not ended after {_deadline_s(spec, self._settings)} s")
        pod = self._newest_pod(spec)
        terminated = _terminated(pod) if pod is not None else None
        if terminated is None:
            detail = (pod and pod.status and pod.status.message) or condition.message
            return Failed("error", f"the pod is lost: {detail}")
        if terminated.reason == "OOMKilled":
            limit = _memory_mib(spec, self._settings)
            return Failed("memory", f"the kernel killed the run at the container's limit of {limit} MiB")
        tail = redact(terminated.message or "").strip()
        return Failed("error", "\n".join([f"exit code {terminated.exitCode}", *([tail] if tail else [])]))

    def stop(self, spec: RunSpec) -> None:
        self._pending_since.pop(spec.run_id, None)
        try:
            with _translated():
                # in the foreground: the Job remains until its pod is gone, so a second one cannot run beside it
                self._client.delete(Job, job_name(spec), cascade=CascadeType.FOREGROUND)
        except _Refused as error:
            if error.code != httpx2.codes.NOT_FOUND:
                raise Retriable(f"Kubernetes does not stop the Job {job_name(spec)}: {error}") from error

    def close(self) -> None:
        self._client.close()

    def _job(self, spec: RunSpec) -> Job | None:
        try:
            with _translated():
                return self._client.get(Job, job_name(spec))
        except _Refused as error:
            if error.code == httpx2.codes.NOT_FOUND:
                return None
            raise Retriable(f"Kubernetes does not show the Job {job_name(spec)}: {error}") from error

    def _newest_pod(self, spec: RunSpec) -> Pod | None:
        try:
            with _translated():
                pods = list(self._client.list(Pod, labels={_JOB_LABEL: job_name(spec)}))
        except _Refused as error:
            raise Retriable(f"Kubernetes does not list the pods of {job_name(spec)}: {error}") from error
        return max(pods, key=lambda pod: str(_metadata(pod).creationTimestamp), default=None)

    def _folder(self, spec: RunSpec) -> Folder:
        return self._shared / RUNS / spec.loop / spec.run_id


def job_name(spec: RunSpec) -> str:
    """Return the name of a run's Job. Kubernetes allows 63 characters."""
    return f"driftloop-run-{spec.run_id}"


def job_of(
    spec: RunSpec,
    url: str,
    settings: KubernetesSettings,
    environment: Mapping[str, str],
    command: Sequence[str] = COMMAND,
) -> dict[str, Any]:
    """Return a run's Job. It names secrets and has none of their values."""
    variables = {**environment, "DRIFTLOOP_HOME": HOME, "HOME": HOME}  # the image's own home is read-only
    pod = _pod(spec, settings, [*command, "--spec", url], variables)
    labels = {
        "app.kubernetes.io/name": "driftloop-run",
        "app.kubernetes.io/managed-by": "driftloop",
        "driftloop.io/loop": spec.loop,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(spec), "labels": labels, "annotations": {SPEC_ANNOTATION: url}},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": _deadline_s(spec, settings),
            "ttlSecondsAfterFinished": settings.kubernetes_keep_s,
            # a pod that a drain, a preemption or a lost node took away is replaced; the run starts again
            "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _pod(
    spec: RunSpec, settings: KubernetesSettings, command: Sequence[str], variables: Mapping[str, str]
) -> dict[str, Any]:
    security: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if settings.kubernetes_user is not None:
        security |= {"runAsUser": settings.kubernetes_user, "fsGroup": settings.kubernetes_user}
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 10,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security,
        "nodeSelector": settings.kubernetes_node_selector,
        "tolerations": list(settings.kubernetes_tolerations),
        "imagePullSecrets": [{"name": name} for name in settings.kubernetes_image_pull_secrets],
        "volumes": [{"name": "home", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
        "containers": [
            {
                "name": "run",
                "image": settings.kubernetes_image,
                "command": list(command),
                "env": [{"name": name, "value": value} for name, value in sorted(variables.items())],
                "envFrom": [
                    *({"configMapRef": {"name": name}} for name in settings.kubernetes_config_maps),
                    *({"secretRef": {"name": name}} for name in settings.kubernetes_secrets),
                ],
                "resources": _resources(spec, settings),
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [{"name": "home", "mountPath": HOME}, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
            }
        ],
    }
    return pod | ({"serviceAccountName": name} if (name := settings.kubernetes_service_account) else {})


def _resources(spec: RunSpec, settings: KubernetesSettings) -> dict[str, Any]:
    limits = {"memory": f"{_memory_mib(spec, settings)}Mi"}
    if settings.kubernetes_gpus:
        limits[settings.kubernetes_gpu_resource] = str(settings.kubernetes_gpus)
    return {"requests": {"cpu": settings.kubernetes_cpu, **limits}, "limits": limits}


def _memory_mib(spec: RunSpec, settings: KubernetesSettings) -> int:
    """Return the container's limit: above the run's, so that the run is stopped with its own reason first."""
    return spec.memory_limit_mib + settings.kubernetes_extra_memory_mib


def _deadline_s(spec: RunSpec, settings: KubernetesSettings) -> int:
    """Return the Job's limit, which counts from its creation."""
    return max(1, math.ceil(spec.time_limit_s + settings.launcher_start_limit_s))


def _metadata(resource: Job | Pod) -> Any:
    return resource.metadata


def _is_running(pod: Pod) -> bool:
    statuses = (pod.status and pod.status.containerStatuses) or []
    return any(status.state is not None and status.state.running is not None for status in statuses)


def _terminated(pod: Pod) -> ContainerStateTerminated | None:
    statuses = (pod.status and pod.status.containerStatuses) or []
    return next((status.state.terminated for status in statuses if status.state and status.state.terminated), None)


def _waiting_reason(pod: Pod) -> str:
    """Return why a pod does not run: the container's reason, or the scheduler's."""
    status = pod.status
    for container in (status and status.containerStatuses) or []:
        waiting = container.state and container.state.waiting
        if waiting:
            return ": ".join(filter(None, [waiting.reason, waiting.message]))
    for condition in (status and status.conditions) or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return ": ".join(filter(None, [condition.reason, condition.message]))
    return f"its pod {_metadata(pod).name} is {(status and status.phase) or 'new'}"


class _Refused(Exception):
    """The server understood a request and refuses it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the client's errors into the project's.

    Raises:
        _Refused: the server refuses the request.
        Retriable: it does not answer, or may answer later.
    """
    try:
        yield
    except ApiError as error:
        code = error.response.status_code
        if code >= httpx2.codes.INTERNAL_SERVER_ERROR or code in _TEMPORARY:
            raise Retriable(f"Kubernetes: {error}") from error
        raise _Refused(code, str(error)) from error
    except (httpx2.HTTPError, ClientConfigError) as error:
        raise Retriable(f"Kubernetes: {error or type(error).__name__}") from error
