"""Turns stored counts, sums and values into the input of the network. All of it is part of the exported graph.

Columns are identified by name: a feature is called ``<view>__<feature>``, a request input has its own name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from numpy.typing import NDArray

DAY_MINUTES = 24 * 60
WEATHER = "flights_weather_latest__"
RECENT = "flights_weather_recent__"
PLAIN = (
    "flights_within_30min",
    "seats",
    "plane_age_years",
    f"{WEATHER}temperature_f",
    f"{WEATHER}dew_point_f",
    f"{WEATHER}humidity_percent",
    f"{WEATHER}wind_speed_mph",
    f"{WEATHER}wind_gust_mph",
    f"{WEATHER}pressure_mb",
    f"{WEATHER}visibility_miles",
)
_COUNT = re.compile(r"^(?P<view>\w+)__count_(?P<column>dep_delay_clipped|late)_(?P<seconds>\d+)s$")

Tensor = torch.Tensor


@dataclass(frozen=True)
class WindowColumns:
    """Positions of the count and the sum of every window among the inputs, and the measure of each."""

    count: list[int]
    sum: list[int]
    measure: list[str]

    @classmethod
    def find(cls, names: Sequence[str]) -> WindowColumns:
        """Return the window columns among these names.

        Raises:
            ValueError: a count has no sum.
        """
        counts = [(column, match) for column, name in enumerate(names) if (match := _COUNT.match(name))]
        sums = [match.string.replace("__count_", "__sum_") for _, match in counts]
        if absent := sorted(set(sums) - set(names)):
            raise ValueError(f"the inputs lack the sums of these counts: {', '.join(absent)}")
        sum_columns = [names.index(name) for name in sums]
        return cls([column for column, _ in counts], sum_columns, [match["column"] for _, match in counts])


class Design(torch.nn.Module):
    """Maps inputs float64 [n, F] with NaN for missing to standardised and clipped columns float64 [n, D]."""

    prior: Tensor
    middle: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, names: Sequence[str], *, pseudo_count: float, clip: float) -> None:
        super().__init__()
        self._at = {name: column for column, name in enumerate(names)}
        self._windows = WindowColumns.find(names)
        self._pseudo_count, self._clip = pseudo_count, clip
        self._plain = [self._at[name] for name in PLAIN]
        self._departed = [
            column for column, measure in enumerate(self._windows.measure) if measure == "dep_delay_clipped"
        ]
        for name, size in (("prior", len(self._windows.measure)), ("middle", len(names)), ("mean", 1), ("scale", 1)):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))

    def fit(self, numeric: NDArray[np.float64]) -> Design:
        """Learn means, medians and scales from training rows float64 [n, F]; return itself."""
        counts, sums = (np.nan_to_num(numeric[:, column]) for column in (self._windows.count, self._windows.sum))
        measures = np.asarray(self._windows.measure)
        for measure in sorted(set(self._windows.measure)):
            mine = measures == measure
            self.prior[torch.from_numpy(mine)] = float(sums[:, mine].sum() / max(1.0, counts[:, mine].sum()))
        known = ~np.isnan(numeric)
        middle = [
            np.median(column[seen]) if seen.any() else 0.0 for column, seen in zip(numeric.T, known.T, strict=True)
        ]
        self.middle = torch.tensor(np.asarray(middle))
        raw = self.columns(torch.from_numpy(numeric))
        self.mean, spread = raw.mean(dim=0), raw.std(dim=0)
        self.scale = torch.where(spread > 1e-9, spread, torch.ones_like(spread))
        return self

    def forward(self, numeric: Tensor) -> Tensor:
        """Return standardised columns, clipped at ``clip`` standard deviations."""
        return torch.clamp((self.columns(numeric) - self.mean) / self.scale, -self._clip, self._clip)

    def columns(self, numeric: Tensor) -> Tensor:
        """Return the columns before scaling, float64 [n, D]."""
        missing = torch.isnan(numeric)
        value = torch.where(missing, self.middle, numeric)
        total = torch.where(missing, torch.zeros_like(numeric), numeric)
        return torch.cat(
            [*self._lateness(total), value[:, self._plain], *self._request(value, missing), *self._sky(value, total)], 1
        )

    def _lateness(self, total: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean delay and share of late flights, each shrunk to its prior, and the log of departures."""
        count, sums = total[:, self._windows.count], total[:, self._windows.sum]
        shrunk = (sums + self._pseudo_count * self.prior) / (count + self._pseudo_count)
        return shrunk, torch.log1p(count[:, self._departed])

    def _request(self, value: Tensor, missing: Tensor) -> tuple[Tensor, ...]:
        minute = self._column(value, "local_minute")
        day = 2 * pi * minute / DAY_MINUTES
        week = 2 * pi * self._column(value, "local_weekday") / 7
        distance, block = self._column(value, "distance_miles"), self._column(value, "block_minutes")
        clock = (minute, torch.sin(day), torch.cos(day), torch.sin(week), torch.cos(week))
        age_known = 1.0 - self._column(missing.to(torch.float64), "plane_age_years")
        return *clock, torch.log(distance), block, block / distance, age_known

    def _sky(self, value: Tensor, total: Tensor) -> tuple[Tensor, ...]:
        angle = self._column(value, f"{WEATHER}wind_direction_deg") * (pi / 180)
        speed = self._column(value, f"{WEATHER}wind_speed_mph")
        rain = self._column(total, f"{WEATHER}precipitation_in") * 100
        rain_3h = self._column(total, f"{RECENT}sum_precipitation_hundredths_10800s")
        seen = self._column(total, f"{RECENT}count_pressure_tenths_10800s")
        before = self._column(total, f"{RECENT}sum_pressure_tenths_10800s") / (10 * torch.clamp(seen, min=1.0))
        now = self._column(value, f"{WEATHER}pressure_mb")
        change = torch.where(seen > 0, now - before, torch.zeros_like(now))
        wind = (speed * torch.sin(angle), speed * torch.cos(angle))
        return *wind, torch.log1p(rain), torch.log1p(rain_3h), torch.clamp(change, -10.0, 10.0)

    def _column(self, values: Tensor, name: str) -> Tensor:
        column = self._at[name]
        return values[:, column : column + 1]
