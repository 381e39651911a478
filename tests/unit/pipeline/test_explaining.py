"""What an answer of the deployed model hangs on: found by hiding parts of a simulated signal, on the
command line's records and in the store of the page."""

from __future__ import annotations

import functools
from typing import get_args

import msgspec
import numpy as np
import pytest

from dashboards.monitor.store.reasons import QUESTIONS, explanation
from ingest.messages import Waveform, sample_offset_ns
from ingest.packing import MISSING, pack
from ingest.simulator.generate import simulate
from ingest.simulator.scenario import load as scenario
from models.serving.runtime import load
from models.signal.conditioning import FS_HZ, condition
from stream_processor.pipeline.explaining import ASKED, Question, _seconds, reasons
from stream_processor.pipeline.stages.labeller import BeatLabeller
from stream_processor.sinks.memory import MemorySink

FS, GAIN, T0 = 250.0, 200.0, 1_760_000_000 * 10**9
Counts = np.ndarray


@functools.cache
def counts(name: str) -> Counts:
    story = scenario(name).model_copy(update={"fs_hz": FS})
    return np.concatenate([b.counts for b in simulate(story, duration_s=45)])


@functools.cache
def signal(name: str) -> np.ndarray:
    return condition(counts(name), FS, GAIN)


@functools.cache
def ventricular() -> int:
    """A beat that is called V, after half a minute."""
    labeller = BeatLabeller(load())
    seconds = _seconds(load(), signal("pvcs")[None, : 42 * FS_HZ], labeller)
    beats = [beat for second in labeller.push(seconds) for beat in second.beats]
    return round(next(b.at for b in beats if b.label == "V" and b.at > 30 * FS_HZ))


def store(x: Counts, block_s: int = 10) -> MemorySink:
    sink, n = MemorySink(), round(block_s * FS)
    for i in range(0, len(x), n):
        part = x[i : i + n].astype(np.int16)
        sink.add(
            Waveform(
                patient_id="p",
                device_id="d",
                lead="I",
                fs_hz=FS,
                start_ns=T0 + sample_offset_ns(i, FS),
                start_sample=i,
                counts_per_mv=GAIN,
                n=len(part),
                packed=pack(part),
            )
        )
    sink.flush()
    return sink


def test_a_ventricular_beat_hangs_on_its_own_qrs() -> None:
    at = ventricular()
    found = reasons(load(), signal("pvcs"), at, "beat")
    assert found is not None
    assert found.label == "V"
    top = int(found.weights.argmax())
    assert abs(found.first + (top + 0.5) * found.step - at) < 0.2 * FS_HZ
    far = np.arange(len(found.weights)) * found.step + found.first < at - 2 * FS_HZ
    assert np.abs(found.weights[far]).max() < found.weights[top]


@pytest.mark.parametrize(("name", "label"), [("vf", "VF"), ("normal", "none")])
def test_a_lethal_rhythm_is_explained_at_its_second(name: str, label: str) -> None:
    found = reasons(load(), signal(name), 40 * FS_HZ, "lethal")
    assert found is not None
    assert found.label == label
    assert found.probability > 0.5
    assert 36 * FS_HZ <= found.first < 37 * FS_HZ


def test_a_rhythm_is_explained_over_its_context() -> None:
    found = reasons(load(), signal("afib"), 40 * FS_HZ, "rhythm")
    assert found is not None
    assert found.label == "AFIB"
    assert len(found.weights) * found.step == 30 * FS_HZ


def test_where_there_is_no_beat_nothing_is_explained() -> None:
    assert reasons(load(), np.zeros(20 * FS_HZ, np.float32), 15 * FS_HZ, "beat") is None
    assert reasons(load(), signal("normal")[: 2 * FS_HZ], FS_HZ, "rhythm") is None


def test_the_page_asks_the_same_questions() -> None:
    assert QUESTIONS == get_args(Question) == tuple(ASKED)


def test_the_stored_signal_gives_the_same_answer() -> None:
    at = ventricular()
    data = explanation(store(counts("pvcs")), "p", T0 + at * 10**9 // FS_HZ, "beat")
    assert data is not None
    told = msgspec.json.decode(data)
    assert told["label"] == "V"
    assert told["step_ms"] == 40
    top = told["t0"] + (int(np.argmax(told["weights"])) + 0.5) * told["step_ms"]
    assert abs(top - (T0 / 1e6 + 1000 * at / FS_HZ)) < 200


def test_a_gap_before_the_beat_cuts_the_signal_and_one_over_it_refuses() -> None:
    at = ventricular()
    place, x = round(at * FS / FS_HZ), counts("pvcs").copy()
    x[place - round(12 * FS) : place - round(11 * FS)] = MISSING
    time = T0 + at * 10**9 // FS_HZ
    data = explanation(store(x), "p", time, "beat")
    assert data is not None
    assert msgspec.json.decode(data)["t0"] >= T0 / 1e6 + 1000 * (at / FS_HZ - 11)
    x[place - round(FS) : place + round(FS)] = MISSING
    assert explanation(store(x), "p", time, "beat") is None
    assert explanation(MemorySink(), "p", time, "beat") is None
