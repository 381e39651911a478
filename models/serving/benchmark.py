"""How long networks take, on one thread, side by side: calls take turns, so that what else the
machine does meets all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from models.serving.catalogue import Artifact

BATCHES = (1, 16)  # one window, and what the processor runs at a time (models/serving/runtime.py)
ROUNDS = 300
WARM_UP = 20
DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class Call(NamedTuple):
    """Something to be timed."""

    network: str
    engine: str
    batch: int
    run: Callable[[], object]


class Timing(NamedTuple):
    """Milliseconds per call: what passes on the wall, and what this thread spends, which a busy
    machine stretches less."""

    network: str
    engine: str
    batch: int
    p50_ms: float
    p99_ms: float
    cpu_ms: float  # median

    @property
    def row_cpu_ms(self) -> float:
        """Per row of the batch."""
        return self.cpu_ms / self.batch


def measure(calls: Sequence[Call], rounds: int = ROUNDS) -> list[Timing]:
    """Time each call so many rounds, in another order each round: a call finds the caches as the
    one before has left them."""
    for _ in range(min(WARM_UP, rounds)):
        for call in calls:
            call.run()
    rng, took = np.random.default_rng(0), np.zeros((rounds, len(calls), 2))
    for each in took:
        for i in rng.permutation(len(calls)):
            each[i] = _once(calls[i])
    middle, late = np.percentile(1e3 * took, (50, 99), axis=0).tolist()
    return [
        Timing(*call[:3], p50, p99, cpu)
        for call, (p50, cpu), (p99, _) in zip(calls, middle, late, strict=True)
    ]


def _once(call: Call) -> tuple[float, float]:
    """Seconds on the wall and of this thread."""
    wall, cpu = time.perf_counter(), time.thread_time()
    call.run()
    return time.perf_counter() - wall, time.thread_time() - cpu


def session(path: Path) -> ort.InferenceSession:
    """ONNX Runtime as serving runs it: one thread that does not spin."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def onnx_calls(artifact: Artifact) -> list[Call]:
    """Each file of an artifact with each batch that it takes."""
    calls = []
    for part in artifact.parts:
        network = artifact.name if part.name == "model" else f"{artifact.name} {part.name}"
        calls += file_calls(part.path, network)
    return calls


def file_calls(path: Path, network: str) -> list[Call]:
    """A file with each batch that it takes, on random rows."""
    opened = session(path)
    feeds = [(batch, _feed(opened, batch)) for batch in BATCHES]
    return [
        Call(network, "ONNX Runtime", b, partial(opened.run, None, feed))
        for b, feed in feeds
        if feed is not None
    ]


def _feed(opened: ort.InferenceSession, batch: int) -> dict[str, npt.NDArray[Any]] | None:
    """Random rows for every input; None where the file was made for another number of rows."""
    rng = np.random.default_rng(0)
    feed: dict[str, npt.NDArray[Any]] = {}
    for one in opened.get_inputs():
        first, *rest = one.shape
        if isinstance(first, int) and first != batch:
            return None
        shape = (batch, *(n if isinstance(n, int) else 1 for n in rest))
        feed[one.name] = rng.standard_normal(shape).astype(DTYPES[one.type])
    return feed
