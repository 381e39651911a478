"""A ward that needs no processor: made-up traces with the beats, vitals, rhythm and alarms a
processor would send, on a real broker."""

from __future__ import annotations

import heapq
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from confluent_kafka import Producer

from ingest import topics
from ingest.messages import Alarm, Beat, Message, Orders, Rhythm, SampleChunk, Score, Vitals, encode

CHUNK_S = 0.5
ANALYSIS_S = 1.2  # events come this much later than their samples
WAVES = {  # of a beat: (offset s, width s, mV)
    "N": [
        (-0.16, 0.025, 0.15),
        (-0.025, 0.008, -0.1),
        (0.0, 0.011, 1.1),
        (0.028, 0.01, -0.25),
        (0.26, 0.05, 0.3),
    ],
    "V": [(0.0, 0.045, 1.6), (0.1, 0.05, -0.7), (0.3, 0.06, -0.4)],
}
TOPIC = {
    SampleChunk: topics.SAMPLES,
    Beat: topics.BEATS,
    Rhythm: topics.RHYTHM,
    Vitals: topics.VITALS,
    Alarm: topics.ALARMS,
    Score: topics.SCORES,
    Orders: topics.ORDERS,
}


@dataclass
class Story:
    """One patient: what its heart does, and which alarms stand."""

    patient_id: str
    rhythm: str = "N"
    bpm: float | None = 72.0
    reason: str = ""
    pattern: str = "N"  # labels of successive beats
    irregular: float = 0.03
    fs_hz: float = 250.0
    noise_mv: float = 0.02
    gain: float = 1.0
    wander_mv: float = 0.08
    quality: float = 1.0
    lead_off: bool = False
    pulses: bool = False  # no heart: 1 mV for the first second of every three
    silent_after_s: float = math.inf  # no more samples then
    alarms: list[dict[str, Any]] = field(default_factory=list)


def beats_of(story: Story, seconds: float) -> list[tuple[float, str]]:
    """(time s, label) of each beat."""
    if not story.bpm or story.lead_off or story.pulses:
        return []
    rng = random.Random(story.patient_id)
    found, at, k = [], 0.4, 0
    while at < seconds:
        label = story.pattern[k % len(story.pattern)]
        found.append((at, label))
        rr = 60 / story.bpm * (1 + rng.uniform(-1, 1) * story.irregular)
        after = story.pattern[(k + 1) % len(story.pattern)]
        at += rr * (0.65 if after == "V" != label else 1.35 if label == "V" != after else 1)
        k += 1
    return found


def trace(story: Story, seconds: float) -> np.ndarray:
    """The ECG in mV, shape (n,)."""
    t = np.arange(round(seconds * story.fs_hz)) / story.fs_hz
    if story.pulses:
        return np.where(t % 3 < 1, 1.0, 0.0)
    rng = np.random.default_rng(len(story.patient_id))
    x = rng.normal(0, story.noise_mv, t.size) + story.wander_mv * np.sin(2 * np.pi * 0.05 * t)
    if story.rhythm == "VF":
        x += (
            0.5
            * np.sin(2 * np.pi * 4.7 * t + 2 * np.sin(2 * np.pi * 0.6 * t))
            * (1 + 0.4 * np.sin(2 * np.pi * 0.33 * t))
        )
    for at, label in beats_of(story, seconds):
        for offset, width, mv in WAVES[label]:
            near = slice(
                max(0, round((at + offset - 5 * width) * story.fs_hz)),
                round((at + offset + 5 * width) * story.fs_hz),
            )
            x[near] += story.gain * mv * np.exp(-0.5 * ((t[near] - at - offset) / width) ** 2)
    return np.zeros_like(x) if story.lead_off else x


class Ward:
    """Streams the stories in real time from a thread of its own, once entered, until left (or until
    `seconds`, longer than any test)."""

    def __init__(
        self, broker: str, stories: list[Story], seconds: float = 300.0, behind_s: float = 12.0
    ) -> None:
        self.producer = Producer(
            {"bootstrap.servers": broker, "linger.ms": 5, "log.connection.close": False}
        )
        self.stories = {story.patient_id: story for story in stories}
        # so much has already happened when the ward is entered
        self.start_s = time.time() - behind_s
        self.counts = {
            s.patient_id: np.round(trace(s, seconds) * 200).astype("<i2") for s in stories
        }
        self.plans = {s.patient_id: self._plan(s, seconds) for s in stories}
        self._silent: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Ward:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        self.producer.flush(5)

    def send(self, message: Message) -> None:
        self.producer.produce(TOPIC[type(message)].name, encode(message), key=message.patient_id)

    def silence(self, patient_id: str) -> None:
        """No more of this patient from now on."""
        self._silent.add(patient_id)

    def now_ns(self, at_s: float) -> int:
        """Time of a moment of the stories."""
        return round((self.start_s + at_s) * 1e9)

    def alarm(self, patient_id: str, kind: str, at_s: float, **fields: Any) -> Alarm:
        onset = self.now_ns(at_s)
        raised = onset + 2 * 10**9
        base = {
            "step": "onset",
            "priority": "medium",
            "raised_ns": raised,
            "changed_ns": raised,
            "onset_sample": 0,
            "raised_sample": 0,
        }
        return self._make(
            Alarm,
            self.stories[patient_id],
            id=f"{patient_id}:{kind}:{onset}",
            kind=kind,
            onset_ns=onset,
            **(base | fields),
        )

    def score(self, patient_id: str, at_s: float, **counts: Any) -> Score:
        nothing = dict.fromkeys(
            ("v_tp", "v_fn", "v_fp", "s_tp", "s_fn", "s_fp", "episodes", "episodes_alarmed"), 0
        )
        return self._make(
            Score, self.stories[patient_id], time_ns=self.now_ns(at_s), **(nothing | counts)
        )

    def _make(self, kind: Callable[..., Any], story: Story, /, **fields: Any) -> Any:
        rate = {} if kind in (Vitals, Score) else {"fs_hz": story.fs_hz}
        return kind(patient_id=story.patient_id, device_id="patch-7", lead="ECG", **rate, **fields)

    def _plan(self, story: Story, seconds: float) -> Iterator[tuple[float, Message]]:
        parts = (
            self._samples(story, seconds),
            self._beats(story, seconds),
            self._analysis(story, seconds),
            self._alarms(story),
        )
        return heapq.merge(*parts, key=lambda due: due[0])

    def _samples(self, story: Story, seconds: float) -> Iterator[tuple[float, Message]]:
        counts, n = self.counts.get(story.patient_id), round(CHUNK_S * story.fs_hz)
        if counts is None:
            return
        for seq in range(counts.size // n):
            end_s = (seq + 1) * CHUNK_S
            if end_s > story.silent_after_s:
                return
            part = counts[seq * n : (seq + 1) * n].tobytes()
            fields = {
                "seq": seq,
                "first_sample": seq * n,
                "t0_ns": self.now_ns(seq * CHUNK_S),
                "counts_per_mv": 200.0,
                "samples": part,
            }
            yield end_s, self._make(SampleChunk, story, lead_off=story.lead_off, **fields)

    def _beats(self, story: Story, seconds: float) -> Iterator[tuple[float, Message]]:
        before = None
        for at, label in beats_of(story, min(seconds, story.silent_after_s)):
            rr = None if before is None else (at - before) * 1000
            before = at
            sample = round(at * story.fs_hz)
            fields = {
                "time_ns": self.now_ns(at),
                "sample": sample,
                "rr_ms": rr,
                "label": label,
                "confidence": 0.99,
                "label_probability": 0.9,
            }
            yield at + ANALYSIS_S, self._make(Beat, story, **fields)

    def _analysis(self, story: Story, seconds: float) -> Iterator[tuple[float, Message]]:
        for k in range(1, int(min(seconds, story.silent_after_s))):
            jitter = math.sin(k + len(story.patient_id)) * 1.5 if story.bpm else 0
            hr = None if story.reason or not story.bpm else story.bpm + jitter
            fields = {
                "time_ns": self.now_ns(k),
                "hr_bpm": hr,
                "sdnn_ms": 48.0,
                "rmssd_ms": 31.0,
                "quality": story.quality,
                "reason": story.reason,
            }
            yield k + ANALYSIS_S, self._make(Vitals, story, **fields)
            span = {
                "start_ns": self.now_ns(0),
                "end_ns": self.now_ns(k),
                "start_sample": 0,
                "end_sample": round(k * story.fs_hz),
            }
            yield (
                k + ANALYSIS_S,
                self._make(Rhythm, story, label=story.rhythm, probability=0.97, **span),
            )

    def _alarms(self, story: Story) -> Iterator[tuple[float, Message]]:
        for given in sorted(story.alarms, key=lambda given: given["at_s"]):
            yield given["at_s"] + 2, self.alarm(story.patient_id, **given)

    def _run(self) -> None:
        waiting = {id_: next(plan, None) for id_, plan in self.plans.items()}
        while not self._stop.is_set():
            passed = time.time() - self.start_s
            for id_, due in waiting.items():
                while due is not None and due[0] <= passed and id_ not in self._silent:
                    self.send(due[1])
                    due = next(self.plans[id_], None)
                waiting[id_] = due
            self.producer.poll(0)
            self._stop.wait(0.02)


LONG = "Wolfeschlegelsteinhausenbergerdorff-Maximiliana-Theodora, Station 4B, Zimmer 1207 (Fenster)"


def eight() -> list[Story]:
    """Eight patients, one of each state that a tile can be in."""
    fibrillating = {
        "kind": "ventricular_fibrillation",
        "at_s": 4,
        "priority": "high",
        "latching": True,
        "text": "VENTRICULAR FIBRILLATION",
    }
    asystole = {
        "kind": "asystole",
        "at_s": 3,
        "priority": "high",
        "latching": True,
        "step": "end",
        "text": "ASYSTOLE 6 s",
    }
    lead_off = {
        "kind": "lead_off",
        "at_s": 2,
        "priority": "low",
        "text": "Lead off: check electrode",
    }
    return [
        Story("Bed 1"),
        Story(
            "Bed 2",
            "AFIB",
            118,
            irregular=0.25,
            alarms=[{"kind": "atrial_fibrillation", "at_s": 2, "text": "ATRIAL FIBRILLATION"}],
        ),
        Story(
            "Bed 3",
            bpm=84,
            pattern="NNNV",
            alarms=[
                {"kind": "pvc_per_minute", "at_s": 3, "priority": "low", "text": "PVC 21 > 10"}
            ],
        ),
        Story(
            "Bed 4",
            "VF",
            None,
            "no beats",
            noise_mv=0.04,
            alarms=[fibrillating, {"kind": "hr_low", "at_s": 3, "text": "HR 38 < 50"}],
        ),
        Story("Bed 5", "~", reason="lead off", lead_off=True, quality=0.0, alarms=[lead_off]),
        Story(
            "Bed 6",
            "~",
            76,
            "artefact",
            noise_mv=0.35,
            quality=0.2,
            alarms=[{"kind": "artefact", "at_s": 3, "priority": "low"}],
        ),
        Story("Bed 10", bpm=58, silent_after_s=10.0, alarms=[asystole]),
        Story(
            LONG,
            "SVTA",
            134,
            fs_hz=360.0,
            alarms=[{"kind": "hr_high", "at_s": 3, "text": "HR 134 > 120"}],
        ),
    ]
