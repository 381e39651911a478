"""The whole data path on one screen: chunks of many patients in, beats, rhythm, vitals and alarms
out.

    chunk -> Admission -> Conditioner -> Windower -> BeatDetector -+-> lethal rhythm -> BeatLabeller -> VitalsMeter -+-> AlarmEngine
             gaps, repeats  125 Hz, mV    one ring    backbone, QRS |   4 s, every 1     RR, class       HR, HRV      |
                                                                    +-> rhythm -> RhythmTracker -> episodes
                                                                        30 s, every 5   a label for every sample
    BeatDetector -> AddedTasks: what the model learned in the field -> findings
    AlarmEngine -> Desk: what is latched, acknowledged, silenced, and calls again
    Admission -> Tape: the samples as they came, in blocks of 10 s for history, and a strip around every alarm

Used by the stream processor (chunks from Kafka), by `annotate` (chunks from a record) and by the
tests: the same stages, the same numbers. Not thread-safe: one call at a time.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np

from ingest.clock import Clock
from ingest.messages import Action, Event, RhythmLabel, SampleChunk, Vitals
from models.serving import runtime
from models.serving.runtime import Model
from models.signal.conditioning import FS_HZ, Conditioner, Raw
from models.signal.windows import Windower, Windows
from stream_processor.pipeline import events
from stream_processor.pipeline.alarms.engine import AlarmEngine, AlarmStep
from stream_processor.pipeline.alarms.lifecycle import AlarmLifecycle
from stream_processor.pipeline.alarms.profiles import Profile, Profiles, with_limits
from stream_processor.pipeline.stages.added import AddedTasks
from stream_processor.pipeline.stages.admission import Admission, Run, Stream
from stream_processor.pipeline.stages.detector import BeatDetector
from stream_processor.pipeline.stages.findings import TaskLabel
from stream_processor.pipeline.stages.labeller import BeatLabeller
from stream_processor.pipeline.stages.rhythm import EpisodeJoiner, RhythmTracker, Span
from stream_processor.pipeline.stages.seconds import AnalysedSecond
from stream_processor.pipeline.stages.sequences import Answer, SequenceTask
from stream_processor.pipeline.stages.vitals import VitalsMeter
from stream_processor.pipeline.stages.waveform_recorder import (
    AlarmStrip,
    Block,
    Piece,
    WaveformRecorder,
)

STATE_VERSION = 6
# tasks of the model whose answers become beats, rhythm and alarms; any other one's are findings
BUILT_IN = ("lethal", "rhythm")
VT, VF, ASYSTOLE = 1, 2, 3  # classes of the lethal-rhythm task
CLOSE_AFTER_S = 300.0  # without a chunk, a stream is finished and forgotten
EVERYBODY_ADULT = Profiles.load(None)
log = logging.getLogger(__name__)


class Ward:
    """Every patient of one processor."""

    def __init__(self, model: Model, clock: Clock, profiles: Profiles = EVERYBODY_ADULT) -> None:
        self._clock, self._profiles = clock, profiles
        self.admission = Admission()
        self._conditioner = Conditioner()
        self._windower = Windower(model.input)
        self._detector = BeatDetector(model)
        self._lethal, self._rhythm = SequenceTask(model, "lethal"), SequenceTask(model, "rhythm")
        self._added, self._version = AddedTasks(model, BUILT_IN), model.spec.version
        self._labeller, self._meter = BeatLabeller(model), VitalsMeter()
        self._tracker, self._joiner = RhythmTracker(), EpisodeJoiner()
        self._alarms, self._recorder = AlarmEngine(), WaveformRecorder()
        self._stages: dict[str, Any] = {
            "conditioner": self._conditioner,
            "windower": self._windower,
            "detector": self._detector,
            "lethal": self._lethal,
            "rhythm": self._rhythm,
            "labeller": self._labeller,
            "meter": self._meter,
            "tracker": self._tracker,
            "joiner": self._joiner,
            "alarms": self._alarms,
            "tape": self._recorder,
            "added": self._added,
        }
        self._row: dict[str, int] = {}
        self._stream: dict[int, Stream] = {}
        self._heard: dict[str, float] = {}  # when a chunk last came, by the steady clock
        self._lost: set[str] = set()  # patients with a no-signal alarm
        self._lifecycle = AlarmLifecycle()
        self._limits: dict[str, Profile] = {}  # of patients with an open stream
        # patients whose time goes on without a signal: when it was last told, by the steady clock
        self._alone: dict[str, float] = {}
        self.timings: dict[str, float] = defaultdict(float)  # CPU seconds per step

    def use(self, model: Model) -> None:
        """Go on with a model that extends this one (models/serving/extension.py), between two
        pushes: what is remembered stays as it is."""
        for stage in (self._detector, self._lethal, self._rhythm, self._labeller, self._added):
            stage.use(model)
        self._version = model.spec.version

    def push(self, chunks: Sequence[SampleChunk]) -> list[Event]:
        """Process chunks in the order they came; several per patient are welcome."""
        found: list[Event] = []
        with self._timed("admission"):
            rounds = self.admission.push(chunks)
        for runs in rounds:
            # Together: the networks take 16 windows for the price of one, and a gateway that comes
            # back brings a gap of every patient.
            found += self._drain([self._row[run.patient_id] for run in runs if run.missing])
            for run in runs:
                found += self._before(run)
            with self._timed("tape"):
                pieces = (
                    Piece(self._row[run.patient_id], run.first_sample, run.counts()) for run in runs
                )
                found += self._taped(self._recorder.push(pieces))
            with self._timed("conditioning"):
                slabs = self._conditioner.push(
                    Raw(self._row[run.patient_id], run.counts(), run.lead_off) for run in runs
                )
            with self._timed("windows"):
                windows = self._windower.push(slabs)
            found += self._analyse(windows)
            found += self._end([run.patient_id for run in runs if run.ends])
        return found

    def act(self, actions: Sequence[tuple[int, Action]]) -> list[Event]:
        """Take what people did, each with its place in the partition it came from; what was taken
        before counts once."""
        found: list[Event] = []
        for place, action in actions:
            age_s = max(0.0, (self._clock.now_ns() - action.time_ns) / 1e9)
            found += self._lifecycle.act(action, place, age_s)
            if action.action == "limits" and action.patient_id in self._row:
                self._set_limits(action.patient_id)
        return found

    def expect_actions(self, patient_id: str, end: int) -> None:
        """Actions are placed from 0 to `end` so far; where more have been taken, the topic was made
        anew, and counting starts again."""
        if self._lifecycle.acted(patient_id) > end:
            self._lifecycle.forget_actions(patient_id)

    def on_clock(self) -> list[Event]:
        """What time alone brings: no-signal alarms, the end of streams that have long been silent,
        alarms that call again."""
        now = self._clock.steady_s()
        found = self._end(
            [patient for patient, heard in self._heard.items() if now - heard > CLOSE_AFTER_S]
        )
        for patient, heard in self._heard.items():
            if now - heard > self._limits[patient].no_signal_s and patient not in self._lost:
                self._lost.add(patient)
                row = self._row[patient]
                last = self._stream[row].next_sample * FS_HZ / self._stream[row].fs_hz
                steps = self._alarms.signal_lost(
                    row, last, last + self._limits[patient].no_signal_s * FS_HZ
                )
                found += self._alarm_events(steps)
        alone = [p for p in self._lifecycle.patients() if p in self._lost or p not in self._row]
        self._alone = {p: self._alone.get(p, now) for p in alone}
        for patient, told in self._alone.items():
            passed_ns = round((now - told) * 1e9)
            found += self._lifecycle.advance(
                patient,
                self._lifecycle.now_ns(patient) + passed_ns,
                self._profile(patient).escalate_s,
            )
            self._alone[patient] = now
        return found

    def flush(self, patient_id: str) -> list[Event]:
        """Everything still pending, as at the end of the stream; only `overall_rhythm` and `close`
        may follow."""
        return self._drain([self._row[patient_id]]) + self._finish(patient_id)

    def _finish(self, patient_id: str) -> list[Event]:
        """What follows from the end of a drained stream."""
        row = self._row[patient_id]
        stream = self._stream[row]
        end = int(np.ceil(stream.next_sample * FS_HZ / stream.fs_hz))
        spans = self._tracker.finish(row, end)
        found: list[Event] = [events.rhythm(stream, span) for span in self._joiner.push(spans)]
        found += self._alarm_events(self._alarms.finish(row, spans, end))
        return found + self._taped(self._recorder.flush(np.array([row], dtype=np.intp)))

    def overall_rhythm(self, patient_id: str) -> tuple[RhythmLabel, float]:
        """The rhythm of the stream as a whole (N, AFIB, O or ~), and its probability."""
        return self._tracker.overall(self._row[patient_id])

    def patients(self) -> list[str]:
        """Those with an open stream, or of whom something must be remembered without one."""
        return list(dict.fromkeys([*self._row, *self._lifecycle.patients()]))

    def snapshot(self, patient_id: str) -> bytes:
        """All that is remembered of a patient: restored, and given the chunks that follow, a ward
        goes on exactly as this one would."""
        state: dict[str, Any] = {
            "version": STATE_VERSION,
            "desk": self._lifecycle.snapshot(patient_id),
            "stream": None,
        }
        if (row := self._row.get(patient_id)) is not None:
            state["stream"] = self._stream[row]
            state["lost"] = patient_id in self._lost
            state["stages"] = {name: stage.snapshot(row) for name, stage in self._stages.items()}
        return msgspec.msgpack.encode(state)

    def restore(self, patient_id: str, state: bytes) -> None:
        """Open a patient with what `snapshot` returned. Raises ValueError for the state of another
        version."""
        try:
            loaded = msgspec.msgpack.decode(state)
            if loaded["version"] != STATE_VERSION or (
                loaded["stream"] and loaded["stages"].keys() != self._stages.keys()
            ):
                raise ValueError(f"state of version {loaded['version']}, expected {STATE_VERSION}")
            stream = msgspec.convert(loaded["stream"], Stream | None)
            self._lifecycle.restore(patient_id, loaded["desk"])
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError) as error:
            raise ValueError(f"not a state: {error}") from error
        if patient_id in self._row:
            self._close_stream(patient_id)
        if stream is None:
            return
        row = self._open(stream)
        for name, stage in self._stages.items():
            stage.restore(row, loaded["stages"][name])
        self.admission.streams[patient_id] = stream
        if loaded["lost"]:
            self._lost.add(patient_id)

    def close(self, patient_id: str) -> None:
        """Forget a patient, standing alarms and all."""
        self._lifecycle.forget(patient_id)
        self._alone.pop(patient_id, None)
        if patient_id in self._row:
            self._close_stream(patient_id)

    def _end(self, patients: Sequence[str]) -> list[Event]:
        """These streams are over; what is latched stays standing."""
        found = self._drain([self._row[patient] for patient in patients])
        for patient in patients:
            found += self._finish(patient)
            self._lifecycle.end_stream(patient)
            self._close_stream(patient)
        return found

    def _close_stream(self, patient_id: str) -> None:
        row = self._row.pop(patient_id)
        for stage in self._stages.values():
            stage.close(row)
        del self._stream[row], self._heard[patient_id], self._limits[patient_id]
        self._lost.discard(patient_id)
        self.admission.forget(patient_id)

    def _open(self, stream: Stream) -> int:
        row: int
        # in step: all give the same row
        (row,) = {stage.open(stream.patient_id, stream.fs_hz) for stage in self._stages.values()}
        self._row[stream.patient_id], self._stream[row] = row, stream
        self._heard[stream.patient_id] = self._clock.steady_s()
        self._conditioner.set_gain(row, stream.counts_per_mv)
        self._set_limits(stream.patient_id)
        return row

    def _set_limits(self, patient_id: str) -> None:
        self._limits[patient_id] = profile = self._profile(patient_id)
        self._alarms.set_profile(self._row[patient_id], profile)

    def _profile(self, patient_id: str) -> Profile:
        """The patient's profile with the limits set at the bedside, where these make sense
        together."""
        base, own = self._profiles.of(patient_id), self._lifecycle.limits(patient_id)
        try:
            return with_limits(base, own, base) if own else base
        except ValueError as error:
            log.warning("limits of %s cannot be used, its profile's hold: %s", patient_id, error)
            return base

    def _before(self, run: Run) -> list[Event]:
        """What happens before a run of samples can be processed: a new stream, a gap, a signal that
        is back."""
        found: list[Event] = []
        patient = run.patient_id
        if run.opens:
            if patient in self._row:
                found += self._end([patient])
                self.admission.streams[patient] = run.opens
            row = self._open(run.opens)
            self._lifecycle.begin_stream(patient, run.opens.start_ns)
            if run.first_sample:  # we joined late
                self._alarms.begin(row, self._restart(row, run.first_sample)[0])
        row = self._row[patient]
        self._heard[patient] = self._clock.steady_s()
        self._alarms.device(row, run.battery, run.fault)
        if patient in self._lost:
            self._lost.discard(patient)
            at = run.first_sample * FS_HZ / self._stream[row].fs_hz
            found += self._alarm_events(self._alarms.signal_back(row, at))
        if run.missing:
            found += self._gap(row, run)
        return found

    def _gap(self, row: int, run: Run) -> list[Event]:
        """The row has been drained."""
        stream = self._stream[row]
        lost_from = (run.first_sample - run.missing) * FS_HZ / stream.fs_hz
        before = self._tracker.finish(row, int(np.ceil(lost_from)))
        sample, lost = self._restart(row, run.first_sample)
        found: list[Event] = [
            events.rhythm(stream, span) for span in self._joiner.push(before + lost)
        ]
        steps = self._alarms.finish(row, before, int(np.ceil(lost_from)))
        return found + self._alarm_events(steps + self._alarms.restart(row, lost_from, sample))

    def _restart(self, row: int, first_sample: int) -> tuple[int, list[Span]]:
        sample = self._conditioner.restart(row, first_sample)
        self._windower.restart(row, sample)
        self._lethal.restart(row)
        self._rhythm.restart(row)
        self._added.restart(row)
        self._labeller.restart(row)
        self._meter.restart(row)
        return sample, self._tracker.restart(row, sample)

    def _drain(self, which: Sequence[int]) -> list[Event]:
        """What the signal stages still hold of these rows."""
        if not which:
            return []
        rows = np.array(which, dtype=np.intp)
        found = self._analyse(self._windower.push(self._conditioner.flush(rows)))
        found += self._analyse(self._windower.flush(rows))
        self._tracker.push(([], self._rhythm.flush(rows)))
        return found + self._found(self._added.flush(rows))

    def _analyse(self, windows: list[Windows]) -> list[Event]:
        with self._timed("backbone"):
            seconds = self._detector.push(windows)
        with self._timed("lethal rhythm"):
            seconds = _with_lethal(seconds, self._lethal.push(seconds))
        with self._timed("rhythm"):
            answers = self._rhythm.push(seconds)
        with self._timed("added tasks"):
            said = self._added.push(seconds)
        with self._timed("beats, vitals, rhythm"):
            beats = self._labeller.push(seconds)
            signs = self._meter.push(beats)
            spans = self._tracker.push((beats, answers))
            episodes = self._joiner.push([span for second in spans for span in second])
        with self._timed("alarms"):
            steps = self._alarms.push((beats, signs, spans))
        with self._timed("events"):
            found: list[Event] = [
                events.beat(self._stream[b.second.row], beat) for b in beats for beat in b.beats
            ]
            found += [events.vitals(self._stream[v.row], v) for v in signs]
            found += [events.rhythm(self._stream[e.row], e) for e in episodes]
            found += self._found(said)
            found += self._alarm_events(steps)
            for patient, until_ns in {
                e.patient_id: e.time_ns for e in found if isinstance(e, Vitals)
            }.items():
                found += self._lifecycle.advance(
                    patient, until_ns, self._limits[patient].escalate_s
                )
            return found

    def _found(self, said: Sequence[TaskLabel]) -> list[Event]:
        return [events.finding(self._stream[s.row], s, self._version) for s in said]

    def _alarm_events(self, steps: list[AlarmStep]) -> list[Event]:
        found: list[Event] = []
        for step in steps:
            alarm = events.alarm(self._stream[step.row], step)
            found += self._lifecycle.take(alarm, self._limits[alarm.patient_id].escalate_s)
            if alarm.step == "onset":
                found += self._taped(
                    self._recorder.want(
                        step.row, alarm.id, alarm.kind, alarm.onset_sample, alarm.raised_sample
                    )
                )
        return found

    def _taped(self, items: Sequence[Block | AlarmStrip]) -> list[Event]:
        return [events.taped(self._stream[item.row], item) for item in items]

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = time.thread_time()
        yield
        self.timings[step] += time.thread_time() - start


def build_ward(clock: Clock, profiles: Profiles = EVERYBODY_ADULT) -> Ward:
    """A ward with the models that ship with the product."""
    return Ward(runtime.load(), clock, profiles)


def _with_lethal(
    seconds: Sequence[AnalysedSecond], answers: Sequence[Answer]
) -> list[AnalysedSecond]:
    """The seconds with what the lethal-rhythm task said of each; one that it calls asystole is not
    unsure, however the signal moves."""
    said = {(answer.row, answer.k): answer.probability for answer in answers}
    found = [(second, said[second.row, second.k]) for second in seconds]
    return [
        s._replace(fibrillation=p[VF], tachycardia=p[VT], unsure=s.unsure and p[ASYSTOLE] < 0.5)
        for s, p in found
    ]
