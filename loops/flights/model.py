"""The reference model: a small network over shrunken means, with embeddings; exported with all its transforms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from driftloop.model.onnx_export import encode, export
from driftloop.model.trainer import Fitted, Parameters, TrainingSet
from loops.flights.design import Design

EMBEDDINGS = {"carrier": 6, "origin": 2, "dest": 8}
"""Dimensions of the embedding of each string."""
NEWTON_STEPS = 20
DAY_MS = 86_400_000

Tensor = torch.Tensor


class Layer(torch.nn.Module):
    """A linear layer of each member: [K, n, inputs] to [K, n, outputs], initialised like `torch.nn.Linear`."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = torch.nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = torch.nn.Parameter(torch.empty(members, 1, outputs).uniform_(-bound, bound))

    def forward(self, values: Tensor) -> Tensor:
        """Compute all members with one product."""
        product: Tensor = torch.matmul(values, self.weight) + self.bias
        return product


class Network(torch.nn.Module):
    """K small networks side by side: design columns [n, D] and codes int64 [n, C] to logits [K, n].

    Each has embeddings, two hidden layers, and dropout after both. There are few days, and flights of one day are
    alike, so
    the luck of one network shows for months. The mean of several varies less.
    """

    def __init__(
        self, columns: int, words: Sequence[int], widths: Sequence[int], *, members: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self._members = members
        self._embeddings = torch.nn.ModuleList(
            torch.nn.Embedding(count + 1, members * width) for count, width in zip(words, widths, strict=True)
        )
        self._shared = torch.nn.Linear(columns, members * hidden)
        self._embedded = Layer(members, sum(widths), hidden)
        self._layers = torch.nn.Sequential(
            torch.nn.ReLU(),
            torch.nn.Dropout(dropout),
            Layer(members, hidden, hidden // 2),
            torch.nn.ReLU(),
            torch.nn.Dropout(dropout),
            Layer(members, hidden // 2, 1),
        )

    def forward(self, columns: Tensor, codes: Tensor) -> Tensor:
        """Return the logits of each member."""
        embedded = [self._apart(embedding(codes[:, column])) for column, embedding in enumerate(self._embeddings)]
        hidden = self._apart(self._shared(columns)) + self._embedded(torch.cat(embedded, 2))
        logit: Tensor = self._layers(hidden)
        return logit.squeeze(2)

    def _apart(self, values: Tensor) -> Tensor:
        """Reshape [n, K * width] to [K, n, width]."""
        return values.reshape(-1, self._members, values.shape[1] // self._members).transpose(0, 1)


class Scorer(torch.nn.Module):
    """Maps inputs float64 [n, F] and codes int64 [n, C] to a probability float64 [n, 1]."""

    intercept: Tensor

    def __init__(self, design: Design, network: Network) -> None:
        super().__init__()
        self.design, self.network = design, network
        self.register_buffer("intercept", torch.zeros(1, dtype=torch.float64))

    def forward(self, numeric: Tensor, codes: Tensor) -> Tensor:
        """Return calibrated probabilities."""
        logit = self.network(self.design(numeric), codes).mean(0).unsqueeze(1)
        return torch.sigmoid(logit + self.intercept)


class FlightModel:
    """A trained scorer with its vocabularies (`driftloop.model.trainer.Fitted`)."""

    def __init__(self, scorer: Scorer, numeric_names: Sequence[str], vocabularies: Sequence[Sequence[str]]) -> None:
        self._scorer, self._numeric_names, self._vocabularies = scorer, list(numeric_names), vocabularies

    def predict(self, data: TrainingSet) -> NDArray[np.float64]:
        with torch.no_grad():
            score = self._scorer(torch.from_numpy(data.numeric), _codes(data, self._vocabularies))
        return np.asarray(score.numpy()[:, 0])

    def to_onnx(self) -> bytes:
        """Return the same function as an ONNX graph, including the strings."""
        return export(self._scorer, numeric=len(self._numeric_names), vocabularies=self._vocabularies)


class Trainer:
    """Trains a `FlightModel` (`driftloop.model.trainer.Trainer`). It needs all features and model inputs."""

    def fit(self, train: TrainingSet, validation: TrainingSet, *, parameters: Parameters, seed: int) -> Fitted:
        """Train on ``train``, calibrate on ``validation``.

        Raises:
            KeyError: an input or a parameter is missing.
        """
        torch.use_deterministic_algorithms(True)
        torch.manual_seed(seed)
        vocabularies = [sorted(set(column) - {""}) for column in train.categorical.T]
        design = Design(
            train.numeric_names, pseudo_count=float(parameters["pseudo_count"]), clip=float(parameters["clip"])
        ).fit(train.numeric)
        columns = design(torch.from_numpy(train.numeric)).to(torch.float32)
        network = Network(
            columns.shape[1],
            [len(vocabulary) for vocabulary in vocabularies],
            [EMBEDDINGS[name] for name in train.categorical_names],
            members=int(parameters["members"]),
            hidden=int(parameters["hidden"]),
            dropout=float(parameters["dropout"]),
        )
        _optimise(
            network, columns, _codes(train, vocabularies), torch.from_numpy(train.label).to(torch.float32), parameters
        )
        scorer = Scorer(design, network.eval().double()).eval()
        _calibrate(scorer, validation, vocabularies)
        return FlightModel(scorer, train.numeric_names, vocabularies)


def _codes(data: TrainingSet, vocabularies: Sequence[Sequence[str]]) -> Tensor:
    columns = [encode(words, list(column)) for words, column in zip(vocabularies, data.categorical.T, strict=True)]
    return torch.tensor(columns, dtype=torch.int64).T.contiguous()


def _optimise(network: Network, columns: Tensor, codes: Tensor, label: Tensor, parameters: Parameters) -> None:
    """Train with AdamW on a one-cycle schedule, float32, in an order drawn from torch's seeded generator."""
    rows, batch, epochs = len(label), int(parameters["batch_rows"]), int(parameters["epochs"])
    rate = float(parameters["learning_rate"])
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=float(parameters["weight_decay"]))
    steps = epochs * -(-rows // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=steps)
    network.train()
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(rows), batch):
            optimiser.zero_grad(set_to_none=True)
            logit = network(columns[chosen], codes[chosen])
            loss = functional.binary_cross_entropy_with_logits(logit, label[chosen].expand_as(logit), reduction="none")
            loss.mean(1).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()


def _calibrate(scorer: Scorer, validation: TrainingSet, vocabularies: Sequence[Sequence[str]]) -> None:
    """Move the intercept so that the mean score is right, as far as the validation days agree.

    The full step is Newton's, on the intercept alone. There are few days, and flights of one day are alike. So its
    standard
    error is computed over days, and the step is reduced by one standard error.
    """
    with torch.no_grad():
        numeric, codes = torch.from_numpy(validation.numeric), _codes(validation, vocabularies)
        logit = scorer.network(scorer.design(numeric), codes).mean(0).numpy()
    scorer.intercept += intercept(logit, validation.label, validation.decision_time_ms // DAY_MS)


def intercept(logit: NDArray[np.float64], label: NDArray[np.float64], day: NDArray[np.int64]) -> float:
    """Return the correction of logits [n], from labels [n] and day numbers [n]; 0 for fewer than two days."""
    days, day_index = np.unique(day, return_inverse=True)
    if len(days) < 2:
        return 0.0
    step = 0.0
    for _ in range(NEWTON_STEPS):
        score = 1 / (1 + np.exp(-(logit + step)))
        step += float(np.clip((label - score).sum() / _slope(score), -1.0, 1.0))
    score = 1 / (1 + np.exp(-logit))
    by_day = np.bincount(day_index, weights=label - score)
    error = float(np.sqrt(by_day.var(ddof=1) * len(days)) / _slope(score))
    return float(np.sign(step)) * max(0.0, abs(step) - error)


def _slope(score: NDArray[np.float64]) -> float:
    return max(float((score * (1 - score)).sum()), 1e-6)
