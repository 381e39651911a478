"""The whole data path on one screen: chunks of many patients in, events out.

    chunk -> Admission -> WaveformRecorder    blocks of 10 s for history, a strip around each alarm
                       -> Conditioner -> Windower -> BeatDetector     125 Hz, one ring, QRS
    BeatDetector -> SequenceTask lethal -> BeatLabeller -> RhythmInBeats  RR, class
    RhythmInBeats -> SignalFacts              waves, silence, runs
    SignalFacts -> VitalsMeter                HR, signal quality
                 -> SequenceTask rhythm -> RhythmTracker -> EpisodeJoiner
    rhythm, beats -> Variability              SDNN, RMSSD
                 -> AddedTasks                what the model learned in the field: findings
    Conditioner  -> NetworkTasks              networks of other architectures: findings too
    beats, vitals, rhythm -> AlarmEngine -> AlarmControl    latched, acknowledged, silenced

Used by the stream processor (chunks from Kafka), by `annotate` (chunks from a record) and by the
tests: the same stages, the same numbers. Not thread-safe: one call at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ingest.clock import Clock
from ingest.messages import (
    Action,
    AlarmKind,
    Event,
    Orders,
    RhythmLabel,
    SampleChunk,
    sample_offset_ns,
)
from models.serving.runtime import Model
from models.signal.conditioning import FS_HZ, Conditioner, Raw
from models.signal.windows import Windower, Windows
from stream_processor.pipeline import events, states
from stream_processor.pipeline.alarm_control import AlarmControl
from stream_processor.pipeline.alarms.engine import AlarmEngine, AlarmStep
from stream_processor.pipeline.alarms.profiles import Profiles
from stream_processor.pipeline.patient_clock import PatientClock
from stream_processor.pipeline.stage_list import StageList, StepTimes
from stream_processor.pipeline.stages.added import AddedTasks
from stream_processor.pipeline.stages.admission import Admission, Run, Stream, name_of
from stream_processor.pipeline.stages.beat_context import RhythmInBeats
from stream_processor.pipeline.stages.detector import BeatDetector
from stream_processor.pipeline.stages.findings import TaskLabel
from stream_processor.pipeline.stages.labeller import BeatLabeller
from stream_processor.pipeline.stages.lethal import LethalTask
from stream_processor.pipeline.stages.networks import NetworkTasks
from stream_processor.pipeline.stages.rhythm import EpisodeJoiner, RhythmTracker, Span, lost
from stream_processor.pipeline.stages.sequences import SequenceTask
from stream_processor.pipeline.stages.signal_facts import SignalFacts
from stream_processor.pipeline.stages.variability import Variability
from stream_processor.pipeline.stages.vitals import VitalsMeter
from stream_processor.pipeline.stages.waveform_recorder import (
    AlarmStrip,
    PackedBlock,
    SamplePiece,
    WaveformRecorder,
)

# tasks of the model whose answers become beats, rhythm and alarms; any other one's are findings
BUILT_IN = ("lethal", "rhythm")
EVERYBODY_ADULT = Profiles.load(None)


class Ward:
    """Every patient of one processor."""

    def __init__(
        self,
        model: Model,
        clock: Clock,
        profiles: Profiles = EVERYBODY_ADULT,
        timings: StepTimes | None = None,
        late_after_s: float | None = None,
    ) -> None:
        self.admission = Admission()
        self._recorder, self._conditioner = WaveformRecorder(), Conditioner()
        self._windower, self._detector = Windower(model.input), BeatDetector(model)
        self._lethal, self._rhythm = LethalTask(model), SequenceTask(model, "rhythm")
        self._added, self._networks = AddedTasks(model, BUILT_IN), NetworkTasks(model)
        self._labeller, self._in_beats = BeatLabeller(model), RhythmInBeats()
        self._signal_facts = SignalFacts()
        self._meter = VitalsMeter()
        self._tracker, self._joiner = RhythmTracker(), EpisodeJoiner()
        self._variability = Variability()
        self._alarms, self._control = AlarmEngine(), AlarmControl(clock, profiles, late_after_s)
        # in the order of the path: whatever happens to a stream happens to each of these
        self._stages = StageList(
            recorder=self._recorder,
            conditioner=self._conditioner,
            windower=self._windower,
            detector=self._detector,
            lethal=self._lethal,
            rhythm=self._rhythm,
            added=self._added,
            networks=self._networks,
            labeller=self._labeller,
            in_beats=self._in_beats,
            signal_facts=self._signal_facts,
            meter=self._meter,
            tracker=self._tracker,
            joiner=self._joiner,
            variability=self._variability,
            alarms=self._alarms,
        )
        self._version = model.spec.version
        self._heard = PatientClock(clock)
        self._row: dict[str, int] = {}
        self._stream: dict[int, Stream] = {}
        self._timed = timings or StepTimes()

    def use(self, model: Model) -> None:
        """Change to a model that extends this one (models/serving/extension.py), between two
        pushes; patients' states stay as they are."""
        self._stages.use(model)
        self._version = model.spec.version

    def push(self, chunks: Sequence[SampleChunk]) -> list[Event]:
        """Process chunks in the order they came, any number per patient."""
        found: list[Event] = []
        with self._timed("admission"):
            rounds = self.admission.push(chunks)
        for runs in rounds:
            # Together: the networks take 16 windows for the price of one, and a gateway that comes
            # back brings a gap of every patient.
            found += self._drain([self._row[run.patient_id] for run in runs if run.missing])
            for run in runs:
                found += self._before(run)
            rows = [self._row[run.patient_id] for run in runs]
            for row, run in zip(rows, runs, strict=True):
                self._stream[row].next_sample = run.next_sample
            with self._timed("tape"):
                pieces = [
                    SamplePiece(row, run.first_sample, run.counts())
                    for row, run in zip(rows, runs, strict=True)
                ]
                found += self._recorded(self._recorder.push(pieces))
            with self._timed("conditioning"):
                slabs = self._conditioner.push(
                    Raw(piece.row, piece.counts, run.lead_off)
                    for piece, run in zip(pieces, runs, strict=True)
                )
            with self._timed("windows"):
                windows = self._windower.push(slabs)
            found += self._analyse(windows)
            with self._timed("networks"):
                labels = self._networks.push(slabs)
            found += self._findings(labels)
            found += self._end([run.patient_id for run in runs if run.ends])
        return found

    def act(self, actions: Sequence[tuple[int, int, Action]]) -> list[Event]:
        """Apply people's actions, each with its partition and its offset there; an action already
        applied is ignored."""
        found, changed = self._control.act(actions, self._row)
        for patient_id in changed:
            self._set_limits(patient_id)
        return [*found]

    def expect_actions(self, ends: Mapping[int, int]) -> None:
        """Set the present end offsets of the action partitions. If more actions than that were
        taken, the topic was made anew, and counting starts at 0."""
        self._control.expect_actions(ends)

    def orders(self) -> dict[str, Orders | None]:
        """Return, by patient, the orders in force that must be published; None if there are
        none."""
        return self._control.orders()

    def resume(self, orders: Orders) -> list[Event]:
        """Go on with orders that are newer than the snapshot that was restored."""
        found: list[Event] = [*self._control.resume(orders)]
        if orders.patient_id in self._row:
            self._set_limits(orders.patient_id)
        return found

    def tell(self, patient_id: str, kind: AlarmKind, at_ns: int | None, detail: str) -> list[Event]:
        """Raise a technical alarm about a patient, with or without a stream; it stands until it is
        acknowledged. `at_ns`: when, if nothing else is known of the patient's time."""
        row = self._row.get(patient_id)
        stream = None if row is None else self._stream[row]
        return [*self._control.technical(patient_id, stream, kind, at_ns, detail)]

    def on_clock(self) -> list[Event]:
        """Return the events that time alone causes: no-signal alarms, the end of streams long
        silent, re-alarms."""
        over = self._heard.over()
        found = self._end(over)
        for patient in over:
            self.admission.forget(patient)
        for patient in self._heard.silent(
            lambda patient: self._control.limits(patient).no_signal_s
        ):
            self._heard.lose(patient)
            row = self._row[patient]
            last = self._stream[row].next_sample * FS_HZ / self._stream[row].fs_hz
            until = last + self._control.limits(patient).no_signal_s * FS_HZ
            found += self._alarm_events(self._alarms.signal_lost(row, last, until))
        passed_ns = self._heard.passed_ns(self._control.patients())
        found += self._control.pass_time(passed_ns, self._row)
        return found

    def flush(self, patient_id: str) -> list[Event]:
        """Return everything still pending, as at the end of the stream; only `overall_rhythm` and
        `close` may follow."""
        return self._drain([self._row[patient_id]]) + self._finish(patient_id)

    def overall_rhythm(self, patient_id: str) -> tuple[RhythmLabel, float]:
        """Return the rhythm of the stream as a whole (N, AFIB, O or ~), and its probability."""
        return self._tracker.overall(self._row[patient_id])

    def patients(self) -> list[str]:
        """Return the patients with an open stream, and those who must be remembered without one."""
        return list(dict.fromkeys([*self._row, *self._control.patients()]))

    def snapshot(self, patient_id: str) -> bytes:
        """Return the state of a patient. A ward that restores it and gets the chunks that follow
        goes on exactly as this one would."""
        lifecycle = self._control.snapshot(patient_id)
        if (row := self._row.get(patient_id)) is None:
            return states.pack(states.State(patient_id, lifecycle))
        stream = states.StreamState(
            self._stream[row],
            self.admission.snapshot(patient_id),
            self._heard.is_lost(patient_id),
            self._stages.snapshot(row),
        )
        return states.pack(states.State(patient_id, lifecycle, stream))

    def restore(self, patient_id: str, state: bytes) -> None:
        """Open a patient with what `snapshot` returned. Raises ValueError, and knows nothing of the
        patient then, if it is damaged, of another version or of another patient."""
        self.close(patient_id)
        loaded = states.unpack(state, patient_id)
        try:
            self._control.restore(patient_id, loaded.lifecycle)
            if loaded.stream is not None:
                self._restore_stream(loaded.stream)
        except Exception as error:  # whatever bytes may hold: a stage finds it in its own way
            self.close(patient_id)
            raise ValueError(f"not a state: {type(error).__name__}: {error}") from error

    def _restore_stream(self, state: states.StreamState) -> None:
        self._stages.check(state.stages)
        row = self._open(state.stream)
        self._stages.restore(row, state.stages)
        self.admission.restore(state.stream.patient_id, state.admission)
        if state.lost:
            self._heard.lose(state.stream.patient_id)

    def close(self, patient_id: str) -> None:
        """Forget a patient, including standing alarms."""
        self._control.forget(patient_id)
        self._heard.forget(patient_id)
        self.admission.forget(patient_id)
        if patient_id in self._row:
            self._close_stream(patient_id)

    def _open(self, stream: Stream) -> int:
        row = self._stages.open(stream.patient_id, stream.fs_hz)
        self._row[stream.patient_id], self._stream[row] = row, stream
        self._heard.hear(stream.patient_id)
        self._conditioner.set_gain(row, stream.counts_per_mv)
        self._set_limits(stream.patient_id)
        return row

    def _set_limits(self, patient_id: str) -> None:
        profile = self._control.set_limits(patient_id)
        self._alarms.set_profile(self._row[patient_id], profile)

    def _before(self, run: Run) -> list[Event]:
        """Handle what comes before a run of samples: a new stream, a gap, the return of a lost
        signal."""
        found: list[Event] = []
        patient = run.patient_id
        if run.opens:
            if patient in self._row:
                found += self._end([patient])
            row = self._open(run.opens)
            self._control.begin_stream(patient, run.opens.start_ns)
            if run.first_sample:  # we joined late
                self._stages.restart(row, run.first_sample)
        row = self._row[patient]
        if run.missing:
            found += self._gap(row, run)
        self._alarms.device(row, run.battery, run.fault)
        at = run.first_sample * FS_HZ / self._stream[row].fs_hz
        if run.restarted:
            found += self._alarm_events(self._alarms.restarted(row, at))
        if run.refused:
            held = name_of(self._stream[row])
            self._alarms.refused(row, at, f"{held} is used, {run.refused} is refused")
        if self._heard.hear(patient):
            found += self._alarm_events(self._alarms.signal_back(row, at))
        return found

    def _gap(self, row: int, run: Run) -> list[Event]:
        """Handle a gap before this run. The row has been drained."""
        stream = self._stream[row]
        lost_from = (run.first_sample - run.missing) * FS_HZ / stream.fs_hz
        end = int(np.ceil(lost_from))
        before = self._tracker.finish(row, end)
        found = self._alarm_events(self._alarms.finish(row, before, end))
        stream.next_sample = run.first_sample
        sample = self._stages.restart(row, run.first_sample)
        found += self._control.skip(
            run.patient_id, stream.start_ns + sample_offset_ns(run.first_sample, stream.fs_hz)
        )
        found += self._alarm_events(self._alarms.gap(row, lost_from, sample))
        return self._rhythm_events(before + lost(row, end, sample)) + found

    def _end(self, patients: Sequence[str]) -> list[Event]:
        """End these streams; latched alarms stay."""
        found = self._drain([self._row[patient] for patient in patients])
        for patient in patients:
            found += self._finish(patient)
            self._control.end_stream(patient)
            self._close_stream(patient)
        return found

    def _drain(self, which: Sequence[int]) -> list[Event]:
        """Flush the signal stages for these rows, and return their events."""
        if not which:
            return []
        rows = np.array(which, dtype=np.intp)
        slabs = self._conditioner.flush(rows)
        found = self._analyse(self._windower.push(slabs))
        found += self._analyse(self._windower.flush(rows))
        self._tracker.push(([], self._rhythm.flush(rows)))
        labels = self._networks.push(slabs) + self._networks.flush(rows)
        return found + self._findings([*self._added.flush(rows), *labels])

    def _finish(self, patient_id: str) -> list[Event]:
        """Return the events that follow from the end of a drained stream."""
        row = self._row[patient_id]
        end = int(np.ceil(self._stream[row].next_sample * FS_HZ / self._stream[row].fs_hz))
        spans = self._tracker.finish(row, end)
        found = self._rhythm_events(spans)
        found += self._alarm_events(self._alarms.finish(row, spans, end))
        return found + self._recorded(self._recorder.flush(np.array([row], dtype=np.intp)))

    def _close_stream(self, patient_id: str) -> None:
        row = self._row.pop(patient_id)
        self._stages.close(row)
        del self._stream[row]
        self._heard.end_stream(patient_id)
        self._control.drop_limits(patient_id)

    def _analyse(self, windows: list[Windows]) -> list[Event]:
        with self._timed("backbone"):
            seconds = self._detector.push(windows)
        with self._timed("lethal rhythm"):
            seconds = self._lethal.push(seconds)
        with self._timed("rhythm"):
            answers = self._rhythm.push(seconds)
        with self._timed("added tasks"):
            labels = self._added.push(seconds)
        with self._timed("beats, vitals, rhythm"):
            labelled = self._in_beats.push((self._labeller.push(seconds), answers))
            beats = self._signal_facts.push(labelled)
            spans = self._tracker.push((beats, answers))
            signs = self._variability.push((self._meter.push(beats), beats, spans))
        with self._timed("alarms"):
            steps = self._alarms.push((beats, signs, spans))
        with self._timed("events"):
            streams = self._stream
            found: list[Event] = [
                events.beat(streams[b.second.row], beat) for b in beats for beat in b.beats
            ]
            vitals = [events.vitals(streams[v.row], v) for v in signs]
            found += vitals
            found += self._rhythm_events([span for second in spans for span in second])
            found += self._findings(labels)
            found += self._alarm_events(steps)
            return [*found, *self._control.advance(vitals)]

    def _rhythm_events(self, spans: list[Span]) -> list[Event]:
        return [events.rhythm(self._stream[e.row], e) for e in self._joiner.push(spans)]

    def _findings(self, labels: Sequence[TaskLabel]) -> list[Event]:
        return [events.finding(self._stream[s.row], s, self._version) for s in labels]

    def _alarm_events(self, steps: list[AlarmStep]) -> list[Event]:
        found: list[Event] = []
        for step in steps:
            alarm = events.alarm(self._stream[step.row], step)
            found += self._control.take(alarm)
            if alarm.step == "onset":
                strips = self._recorder.want(
                    step.row, alarm.id, alarm.kind, alarm.onset_sample, alarm.raised_sample
                )
                found += self._recorded(strips)
        return found

    def _recorded(self, items: Sequence[PackedBlock | AlarmStrip]) -> list[Event]:
        return [events.recorded(self._stream[item.row], item) for item in items]
