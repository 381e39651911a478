"""The stored past of a made-up patient, as a processor would have left it: signal, beats, vitals,
rhythm, alarms with their strips."""

from __future__ import annotations

from typing import Any

import numpy as np

from ingest.messages import Alarm, Beat, Rhythm, Strip, Vitals, Waveform
from ingest.packing import pack
from stream_processor.sinks.memory import MemorySink
from tests.e2e.monitor_fakes import Story, beats_of, trace

BLOCK_S = 10.0
COUNTS_PER_MV = 200.0
AROUND_S = 10.0


class Past:
    """Puts into a sink what has happened to a patient from `start_s` on (seconds of the wall
    clock), `seconds` long."""

    def __init__(self, sink: MemorySink, story: Story, start_s: float, seconds: float) -> None:
        self.sink, self.story, self.start_s, self.seconds = sink, story, start_s, seconds
        self.counts = np.round(trace(story, seconds) * COUNTS_PER_MV).astype("<i2")
        self.base = {"patient_id": story.patient_id, "device_id": "patch-7", "lead": "ECG"}

    def ns(self, at_s: float) -> int:
        return round((self.start_s + at_s) * 1e9)

    def fill(self) -> Past:
        self._signal()
        self._beats()
        for k in range(0, int(self.seconds), 2):
            hr = (self.story.bpm or 0) + 8 * np.sin(k / 400) + 2 * np.sin(k / 17)
            fields = {"sdnn_ms": 48.0, "rmssd_ms": 31.0, "quality": self.story.quality}
            self.sink.add(
                Vitals(
                    **self.base,
                    time_ns=self.ns(k),
                    hr_bpm=float(hr) if self.story.bpm else None,
                    **fields,
                )
            )
        self.sink.flush()
        return self

    def rhythm(self, start_s: float, end_s: float, label: str, probability: float = 0.94) -> None:
        fs = self.story.fs_hz
        span = {
            "start_ns": self.ns(start_s),
            "end_ns": self.ns(end_s),
            "start_sample": round(start_s * fs),
            "end_sample": round(end_s * fs),
        }
        self.sink.add(Rhythm(**self.base, **span, fs_hz=fs, label=label, probability=probability))
        self.sink.flush()

    def alarm(self, kind: str, at_s: float, **fields: Any) -> Alarm:
        """An alarm that is over, and its strip."""
        onset, fs = self.ns(at_s), self.story.fs_hz
        times = {
            "onset_ns": onset,
            "raised_ns": onset + 4 * 10**9,
            "changed_ns": onset + 9 * 10**9,
            "end_ns": onset + 9 * 10**9,
        }
        samples = {
            "onset_sample": round(at_s * fs),
            "raised_sample": round((at_s + 4) * fs),
            "end_sample": round((at_s + 9) * fs),
        }
        made = {
            "fs_hz": fs,
            "id": f"{self.story.patient_id}:{kind}:{onset}",
            "kind": kind,
            "priority": "medium",
            "step": "end",
        }
        alarm = Alarm(**(self.base | made | times | samples | fields))
        self.sink.add(alarm)
        self.strip(alarm, at_s)
        self.sink.flush()
        return alarm

    def strip(self, alarm: Alarm, at_s: float) -> None:
        fs = self.story.fs_hz
        first = round((at_s - AROUND_S) * fs)
        part = self.counts[first : first + round(2 * AROUND_S * fs)]
        place = {
            "start_ns": self.ns(at_s - AROUND_S),
            "start_sample": first,
            "n": part.size,
            "packed": pack(part),
        }
        what = {
            "alarm_id": alarm.id,
            "kind": alarm.kind,
            "onset_ns": alarm.onset_ns,
            "fs_hz": fs,
            "counts_per_mv": COUNTS_PER_MV,
        }
        self.sink.add(Strip(**self.base, **what, **place))

    def _signal(self) -> None:
        fs, n = self.story.fs_hz, round(BLOCK_S * self.story.fs_hz)
        for first in range(0, self.counts.size, n):
            part = self.counts[first : first + n]
            place = {
                "start_ns": self.ns(first / fs),
                "start_sample": first,
                "n": part.size,
                "packed": pack(part),
            }
            self.sink.add(Waveform(**self.base, fs_hz=fs, counts_per_mv=COUNTS_PER_MV, **place))

    def _beats(self) -> None:
        before = None
        for at, label in beats_of(self.story, self.seconds):
            fields = {
                "time_ns": self.ns(at),
                "sample": round(at * self.story.fs_hz),
                "rr_ms": None if before is None else (at - before) * 1000,
            }
            before = at
            self.sink.add(
                Beat(
                    **self.base,
                    **fields,
                    fs_hz=self.story.fs_hz,
                    label=label,
                    confidence=0.99,
                    label_probability=0.97,
                )
            )
