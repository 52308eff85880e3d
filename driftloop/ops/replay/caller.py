"""The client half of a replay: a plain KServe v2 client of Triton."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from driftloop.loop.definition import PredictionDefinition

MAX_BATCH = 256
_DATATYPE = {"string": "BYTES", "int64": "INT64", "double": "FP64"}


@dataclass
class Caller:
    """Requests predictions of one loop, in batches of at most 256 rows."""

    client: triton.InferenceServerClient
    loop: str
    definition: PredictionDefinition
    timeout_s: float = 30.0
    _ready: bool = False

    def ready(self) -> bool:
        """Return whether the loop has a champion; once it has, it keeps one."""
        self._ready = self._ready or bool(self.client.is_model_ready(self.loop))
        return self._ready

    def request_predictions(self, requests: pa.Table, name: str) -> tuple[int, int]:
        """Request a prediction for every row; return the numbers of answered and failed rows.

        ``name`` is the prefix of request ids.
        """
        answered = failed = 0
        for number, batch in enumerate(_batches(requests)):
            try:
                self.client.infer(
                    self.loop, self.inputs(batch), request_id=f"{name}-{number}", client_timeout=self.timeout_s
                )
                answered += batch.num_rows
            except InferenceServerException:
                failed += batch.num_rows
        return answered, failed

    def inputs(self, batch: pa.Table) -> list[triton.InferInput]:
        """Return a tensor of dims [n, 1] for the key, each input, and the decision time if requests have one."""
        types = {self.definition.key: "BYTES"}
        if self.definition.clock == "request":
            types["decision_time_ms"] = "INT64"
        types |= {name: _DATATYPE[field.type] for name, field in self.definition.inputs.items()}
        return [_tensor(name, batch.column(name), datatype) for name, datatype in types.items()]


def _batches(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, MAX_BATCH):
        yield table.slice(start, MAX_BATCH)


def _tensor(name: str, column: pa.ChunkedArray, datatype: str) -> triton.InferInput:
    if datatype == "BYTES":
        values = np.array(["" if value is None else value for value in column.to_pylist()], dtype=np.object_)
    elif datatype == "INT64":
        values = column.to_numpy().astype(np.int64)
    else:
        values = column.to_numpy().astype(np.float64)
    tensor = triton.InferInput(name, [len(values), 1], datatype)
    tensor.set_data_from_numpy(values.reshape(-1, 1))
    return tensor
