"""Measures the latency of networks on one thread. The calls take turns, so that other load on the
machine affects all of them alike."""

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

BATCHES = (1, 16)  # one window, and the processor's batch (models/serving/runtime.py)
ROUNDS = 300
WARM_UP = 20
DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class Call(NamedTuple):
    """A call to be timed."""

    network: str
    engine: str
    batch: int
    run: Callable[[], object]


class Timing(NamedTuple):
    """Milliseconds per call: wall time, and CPU time of this thread, which a busy machine changes
    less."""

    network: str
    engine: str
    batch: int
    p50_ms: float
    p99_ms: float
    cpu_ms: float  # median

    @property
    def row_cpu_ms(self) -> float:
        """CPU time per row of the batch, ms."""
        return self.cpu_ms / self.batch


def measure(calls: Sequence[Call], rounds: int = ROUNDS) -> list[Timing]:
    """Time each call `rounds` times, in a new order each round, because a call finds the caches as
    the one before left them."""
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
    """Run a call; return wall time and CPU time of this thread, s."""
    wall, cpu = time.perf_counter(), time.thread_time()
    call.run()
    return time.perf_counter() - wall, time.thread_time() - cpu


def session(path: Path) -> ort.InferenceSession:
    """Open a file in ONNX Runtime as serving does: one thread that does not spin."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def onnx_calls(artifact: Artifact) -> list[Call]:
    """Return a call for each file of an artifact and each batch that it takes."""
    calls = []
    for part in artifact.parts:
        network = artifact.name if part.name == "model" else f"{artifact.name} {part.name}"
        calls += file_calls(part.path, network)
    return calls


def file_calls(path: Path, network: str) -> list[Call]:
    """Return a call for each batch that a file takes, on random rows."""
    opened = session(path)
    feeds = [(batch, _feed(opened, batch)) for batch in BATCHES]
    return [
        Call(network, "ONNX Runtime", b, partial(opened.run, None, feed))
        for b, feed in feeds
        if feed is not None
    ]


def _feed(opened: ort.InferenceSession, batch: int) -> dict[str, npt.NDArray[Any]] | None:
    """Return random rows for every input; None if the file was made for another number of rows."""
    rng = np.random.default_rng(0)
    feed: dict[str, npt.NDArray[Any]] = {}
    for one in opened.get_inputs():
        first, *rest = one.shape
        if isinstance(first, int) and first != batch:
            return None
        shape = (batch, *(n if isinstance(n, int) else 1 for n in rest))
        feed[one.name] = rng.standard_normal(shape).astype(DTYPES[one.type])
    return feed
