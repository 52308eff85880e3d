"""Pending work: events that still need a response. Pure; events may arrive in any order.

A replay waits at the end of a window until no work is pending; `driftloop status` shows the same list.
`loop_history` applies these rules:

| pending event | resolved by |
|---|---|
| window-closed | one window-decided of each decider |
| window-decided that names events | those events: their topics may be read later |
| drift-detected (trigger) | a reason-coalesced or retrain-requested that names it |
| retrain-requested | candidate-trained or run-failed of the request |
| candidate-trained | the offline verdict on its run |
| verdict-reached offline | stage-entered, or release-rejected offline, from it |
| verdict-reached better, worse or at its limit | stage-entered or approval-requested from it, or the release ended |
| stage-entered, route-changed | route-converged or route-failed of the epoch, or of a newer one |
"""

from __future__ import annotations

DECIDERS = ("detectors", "evaluation", "training")


class PendingWork:
    """Pending responses of one loop. A response may arrive before the event that expects it."""

    def __init__(self, deciders: tuple[str, ...] = DECIDERS) -> None:
        self.deciders = deciders
        self._pending: dict[str, str] = {}  # description by key
        self._resolved: set[str] = set()
        self._verdicts: dict[str, str] = {}  # release of each verdict that needs a response, by key
        self._ended: dict[str, str | None] = {}  # rejected and rolled-back releases, with the event that caused the end
        self._epoch = 0

    def open(self) -> list[str]:
        """Return descriptions of the pending work, oldest first."""
        return list(self._pending.values())

    def expect(self, key: str, description: str) -> None:
        """Add pending work, unless its response arrived already."""
        if key not in self._resolved:
            self._pending[key] = description

    def resolve(self, key: str) -> None:
        """Record that a response arrived."""
        self._resolved.add(key)
        self._pending.pop(key, None)

    def expect_registry(self, verdict_id: str, release_id: str, description: str) -> None:
        """Expect the registry's response to a verdict, unless another event ended the release."""
        if self._ended.get(release_id, verdict_id) == verdict_id:
            self._verdicts[f"verdict {verdict_id}"] = release_id
            self.expect(f"verdict {verdict_id}", description)

    def end_release(self, release_id: str, cause: str | None) -> None:
        """Resolve the verdicts on a rejected or rolled-back release, except the one that caused it.

        The response to that verdict is on other topics.
        """
        self._ended[release_id] = cause
        for key, verdict_release in self._verdicts.items():
            if verdict_release == release_id and key != f"verdict {cause}":
                self.resolve(key)

    def expect_route(self, epoch: int) -> None:
        """Expect a route, unless the same or a newer one is done."""
        if epoch > self._epoch:
            self.expect(f"route {epoch}", f"route of epoch {epoch} is not served yet")

    def resolve_routes(self, epoch: int) -> None:
        """Resolve a served or failed route and all older ones."""
        self._epoch = max(self._epoch, epoch)
        for key in [key for key in self._pending if key.startswith("route ") and int(key[6:]) <= epoch]:
            self.resolve(key)
