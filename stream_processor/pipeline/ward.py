"""Every patient of one processor: chunks of many patients, people's actions and time in, events
out.

Admission turns chunks into runs of samples; the data path (data_path.py) turns runs into events;
AlarmControl applies people's orders. Used by the stream processor (chunks from Kafka), by
`annotate` (chunks from a record) and by the tests: the same stages, the same numbers. Not
thread-safe: one call at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ingest.clock import Clock
from ingest.messages import Action, AlarmKind, Event, Orders, RhythmLabel, SampleChunk
from models.serving.runtime import Model
from stream_processor.pipeline import states
from stream_processor.pipeline.alarm_control import AlarmControl
from stream_processor.pipeline.alarms.profiles import Profiles
from stream_processor.pipeline.data_path import DataPath
from stream_processor.pipeline.patient_clock import PatientClock
from stream_processor.pipeline.stages.admission.admission import Admission
from stream_processor.pipeline.stages.admission.runs import Run, Stream
from stream_processor.pipeline.step_times import StepTimes

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
        self._timed = timings or StepTimes()
        self.admission, self._patient_clock = Admission(), PatientClock(clock)
        self._control = AlarmControl(clock, profiles, late_after_s)
        self._path = DataPath(model, self._control, self._timed)
        self._row: dict[str, int] = {}  # of the data path, by patient with an open stream

    def use(self, model: Model) -> None:
        """Change to a model that extends this one (models/serving/extension.py), between two
        pushes; patients' states stay as they are."""
        self._path.use(model)

    def push(self, chunks: Sequence[SampleChunk]) -> list[Event]:
        """Process chunks in the order they came, any number per patient."""
        found: list[Event] = []
        with self._timed("admission"):
            rounds = self.admission.push(chunks)
        for runs in rounds:
            # Together: the networks take 16 windows for the price of one, and a gateway that comes
            # back brings a gap of every patient.
            found += self._path.drain([self._row[run.patient_id] for run in runs if run.missing])
            for run in runs:
                found += self._before(run)
            found += self._path.push([(self._row[run.patient_id], run) for run in runs])
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

    def raise_technical(
        self, patient_id: str, kind: AlarmKind, at_ns: int | None, detail: str
    ) -> list[Event]:
        """Raise a technical alarm about a patient, with or without a stream; it stands until it is
        acknowledged. `at_ns`: when, if nothing else is known of the patient's time."""
        row = self._row.get(patient_id)
        stream = None if row is None else self._path.stream(row)
        return [*self._control.technical(patient_id, stream, kind, at_ns, detail)]

    def on_clock(self) -> list[Event]:
        """Return the events that time alone causes: no-signal alarms, the end of streams long
        silent, re-alarms."""
        over = self._patient_clock.over()
        found = self._end(over)
        for patient in over:
            self.admission.forget(patient)
        for patient in self._patient_clock.silent(self._no_signal_s):
            self._patient_clock.mark_lost(patient)
            found += self._path.signal_lost(self._row[patient], self._no_signal_s(patient))
        passed_ns = self._patient_clock.passed_ns(self._control.patients())
        found += self._control.pass_time(passed_ns, self._row)
        return found

    def flush(self, patient_id: str) -> list[Event]:
        """Return everything still pending, as at the end of the stream; only `overall_rhythm` and
        `close` may follow."""
        row = self._row[patient_id]
        return self._path.drain([row]) + self._path.finish(row)

    def overall_rhythm(self, patient_id: str) -> tuple[RhythmLabel, float]:
        """Return the rhythm of the stream as a whole (N, AFIB, O or ~), and its probability."""
        return self._path.overall_rhythm(self._row[patient_id])

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
            self._path.stream(row),
            self.admission.snapshot(patient_id),
            self._patient_clock.is_lost(patient_id),
            self._path.snapshot(row),
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

    def close(self, patient_id: str) -> None:
        """Forget a patient, including standing alarms."""
        self._control.forget(patient_id)
        self._patient_clock.forget(patient_id)
        self.admission.forget(patient_id)
        if patient_id in self._row:
            self._close_stream(patient_id)

    def _restore_stream(self, state: states.StreamState) -> None:
        self._enter(state.stream, self._path.restore(state.stream, state.stages))
        self.admission.restore(state.stream.patient_id, state.admission)
        if state.lost:
            self._patient_clock.mark_lost(state.stream.patient_id)

    def _enter(self, stream: Stream, row: int) -> None:
        """Register a stream that the data path has opened."""
        self._row[stream.patient_id] = row
        self._patient_clock.chunk_came(stream.patient_id)
        self._set_limits(stream.patient_id)

    def _set_limits(self, patient_id: str) -> None:
        self._path.set_limits(self._row[patient_id], self._control.set_limits(patient_id))

    def _no_signal_s(self, patient_id: str) -> float:
        return self._control.limits(patient_id).no_signal_s

    def _before(self, run: Run) -> list[Event]:
        """Handle what comes before a run of samples: a new stream, a gap, the return of a lost
        signal."""
        found: list[Event] = []
        patient = run.patient_id
        if run.opens:
            if patient in self._row:
                found += self._end([patient])
            self._enter(run.opens, self._path.open(run.opens))
            self._control.begin_stream(patient, run.opens.start_ns)
            if run.first_sample:  # we joined late
                self._path.join(self._row[patient], run.first_sample)
        row = self._row[patient]
        if run.missing:
            found += self._path.gap(row, run)
        was_lost = self._patient_clock.chunk_came(patient)
        return found + self._path.take_device(row, run, was_lost)

    def _end(self, patients: Sequence[str]) -> list[Event]:
        """End these streams; latched alarms stay."""
        found = self._path.drain([self._row[patient] for patient in patients])
        for patient in patients:
            found += self._path.finish(self._row[patient])
            self._control.end_stream(patient)
            self._close_stream(patient)
        return found

    def _close_stream(self, patient_id: str) -> None:
        self._path.close(self._row.pop(patient_id))
        self._patient_clock.end_stream(patient_id)
        self._control.drop_limits(patient_id)
