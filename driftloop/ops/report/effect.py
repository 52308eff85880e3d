"""Whether a promotion helped: before and after, in losses and calibration. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.events.envelope import Envelope, parse_rfc3339


def before_and_after(
    quality: Sequence[dict[str, Any]],
    alarm: Envelope[monitoring.DriftDetected],
    promotion: Envelope[registry.ChampionPromoted],
) -> list[dict[str, Any]]:
    """Return means of the old champion between alarm and promotion, and of the new one before and after promotion.

    ``quality`` comes from `releases.quality`. A part without windows is left out.
    """
    alarm_ms, promotion_ms = alarm.time_ms, promotion.time_ms
    old, new = promotion.data.previous_release_id, promotion.data.release_id
    rows = defaultdict(list)
    for row in quality:
        end = parse_rfc3339(row["window_end"])
        if row["release"] == old and row["role"] == "champion" and alarm_ms < end <= promotion_ms:
            rows[f"{old}, champion from the alarm to the promotion"].append(row)
        elif row["release"] == new and row["role"] == "challenger" and end <= promotion_ms:
            rows[f"{new}, as challenger on the same requests"].append(row)
        elif row["release"] == new and row["role"] == "champion" and end > promotion_ms:
            rows[f"{new}, champion since"].append(row)
    return [mean(label, members) for label, members in rows.items()]


def mean(label: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return mean loss and residual of windows, weighted by outcomes; ``rows`` has at least one."""
    count = sum(row["count"] for row in rows)
    means = {name: sum(row[name] * row["count"] for row in rows) / count for name in ("loss", "residual")}
    return {"label": label, "windows": len(rows), "count": count, **means}
