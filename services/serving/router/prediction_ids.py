"""Prediction ids. Each is the system's own: a caller's id only lets a repeated question count once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

from services.serving.domain.loop_config import LoopConfig
from services.serving.router.batch import RequestRows

RETRY_MS = 600_000
"""A loop with `clock: now` takes the same question with the same id within this time as a retry."""
_MAX_REMEMBERED = 100_000


class PredictionIds:
    """Makes the ids of one loop; use it from one thread.

    With a caller's id, a prediction's id is that id, the row's number if there are several, and a digest of the
    question: key, decision time and inputs. So a retry has the same id, and another question under the same caller's id
    has another. Without one, it begins with a random id.
    """

    def __init__(self, config: LoopConfig, draw_id: Callable[[], str]) -> None:
        self._loop = config.loop
        self._inputs = tuple(config.inputs)
        self._own_clock = config.clock == "now"
        self._draw_id = draw_id
        self._first_ms: OrderedDict[str, int] = OrderedDict()

    def of(self, request: RequestRows, now_ms: int) -> list[str]:
        """Return the id of each row. A probe keeps its caller's id: only this system sends probes."""
        base = request.request_id or self._draw_id()
        rows = len(request.keys)
        names = [base] if rows == 1 else [f"{base}/{row}" for row in range(rows)]
        if request.probe or not request.request_id:
            return names
        columns = [request.columns[name] for name in self._inputs]
        times = [None] * rows if self._own_clock else request.decision_ms
        questions = zip(range(rows), times, request.keys, *columns, strict=True)
        digests = [self._digest(base, *question) for question in questions]
        if self._own_clock:
            digests = [self._at_first_call(digest, now_ms) for digest in digests]
        return [f"{name}.{digest}" for name, digest in zip(names, digests, strict=True)]

    def _at_first_call(self, question: str, now_ms: int) -> str:
        """Return a digest of a question and the time of its first call, because a retry comes later."""
        first_ms = self._first_ms.get(question, now_ms)
        if not 0 <= now_ms - first_ms <= RETRY_MS:
            first_ms = now_ms
        self._first_ms[question] = first_ms
        self._first_ms.move_to_end(question)
        while len(self._first_ms) > _MAX_REMEMBERED:
            self._first_ms.popitem(last=False)
        return self._digest(question, first_ms)

    def _digest(self, *parts: object) -> str:
        return blake2b(repr((self._loop, *parts)).encode(), digest_size=8).hexdigest()
