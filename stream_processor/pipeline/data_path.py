"""The whole data path on one screen: runs of samples of many streams in, events out.

    run -> WaveformRecorder                   blocks of 10 s for history, a strip around each alarm
        -> Conditioner -> Windower -> BeatDetector     125 Hz, one ring, QRS
    BeatDetector -> LethalTask -> BeatLabeller -> RhythmInBeats      RR, class
    RhythmInBeats -> SignalFacts              waves, silence, runs
    SignalFacts -> VitalsMeter                HR, signal quality
                -> SequenceTask rhythm -> RhythmTracker -> EpisodeJoiner
    rhythm, beats -> Variability              SDNN, RMSSD
                  -> AddedTasks               tasks learned in the field: findings
    Conditioner  -> NetworkTasks              networks of other architectures: findings too
    run of RR intervals -> RrMeter            a strap without a trace: HR, regularity
    beats, vitals, rhythm -> AlarmEngine -> AlarmControl    latched, acknowledged, silenced

A stream is a row of every stage (stage_list.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ingest.messages import Event, RhythmLabel, sample_offset_ns
from ingest.messages.rr_channel import is_rr
from models.serving.runtime import Model
from models.signal.conditioning import FS_HZ, Raw
from models.signal.stage import State
from models.signal.windows import Windows
from stream_processor.pipeline import events
from stream_processor.pipeline.alarm_control import AlarmControl
from stream_processor.pipeline.alarms.by_rr import by_rr, rr_steps
from stream_processor.pipeline.alarms.engine import AlarmStep
from stream_processor.pipeline.alarms.profiles import Profile
from stream_processor.pipeline.stage_list import StageList
from stream_processor.pipeline.stages.admission.runs import Run, Stream, name_of
from stream_processor.pipeline.stages.episodes import Span, lost
from stream_processor.pipeline.stages.rr_only import RrRun
from stream_processor.pipeline.stages.tasks.findings import TaskLabel
from stream_processor.pipeline.stages.waveform_recorder import AlarmStrip, PackedBlock, SamplePiece
from stream_processor.pipeline.step_times import StepTimes


class DataPath:
    """The stages of every open stream."""

    def __init__(self, model: Model, control: AlarmControl, timings: StepTimes) -> None:
        self._stages, self._version = StageList(model), model.spec.version
        self._control, self._timed = control, timings
        self._stream: dict[int, Stream] = {}

    def use(self, model: Model) -> None:
        """Change to a model that extends this one; streams' states stay as they are."""
        self._stages.use(model)
        self._version = model.spec.version

    def open(self, stream: Stream) -> int:
        """Open a stream; returns its row."""
        row = self._stages.open(stream.patient_id, stream.fs_hz)
        self._stream[row] = stream
        self._stages.conditioner.set_gain(row, stream.counts_per_mv)
        return row

    def close(self, row: int) -> None:
        """Forget a stream."""
        self._stages.close(row)
        del self._stream[row]

    def join(self, row: int, first_sample: int) -> None:
        """Begin a stream whose earlier samples were never seen."""
        self._stages.restart(row, first_sample)

    def stream(self, row: int) -> Stream:
        """Return the stream of a row."""
        return self._stream[row]

    def snapshot(self, row: int) -> dict[str, State]:
        """Return the state of every stage of the row."""
        return self._stages.snapshot(row)

    def restore(self, stream: Stream, states: dict[str, State]) -> int:
        """Open a stream with what `snapshot` returned; returns its row. Raises ValueError if these
        are not the states of just these stages."""
        self._stages.check(states)
        row = self.open(stream)
        try:
            self._stages.restore(row, states)
        except Exception:
            self.close(row)
            raise
        return row

    def set_limits(self, row: int, profile: Profile) -> None:
        """Apply these alarm limits from now on."""
        self._stages.alarms.set_profile(row, by_rr(profile) if self._is_rr(row) else profile)

    def overall_rhythm(self, row: int) -> tuple[RhythmLabel, float]:
        """Return the rhythm of the stream as a whole (N, AFIB, O or ~), and its probability."""
        return self._stages.tracker.overall(row)

    def push(self, runs: Sequence[tuple[int, Run]]) -> list[Event]:
        """Process the next samples of these rows, each row at most once."""
        for row, run in runs:
            self._stream[row].next_sample = run.next_sample
        found = self._by_rr([(row, run) for row, run in runs if self._is_rr(row)])
        traces = [(row, run) for row, run in runs if not self._is_rr(row)]
        with self._timed("waveforms"):
            pieces = [SamplePiece(row, run.first_sample, run.counts()) for row, run in traces]
            found += self._recorded(self._stages.recorder.push(pieces))
        with self._timed("conditioning"):
            slabs = self._stages.conditioner.push(
                Raw(piece.row, piece.counts, run.lead_off)
                for piece, (_, run) in zip(pieces, traces, strict=True)
            )
        with self._timed("windows"):
            windows = self._stages.windower.push(slabs)
        found += self._analyse(windows)
        with self._timed("networks"):
            labels = self._stages.networks.push(slabs)
        return found + self._findings(labels)

    def drain(self, which: Sequence[int]) -> list[Event]:
        """Flush the signal stages for these rows, and return their events."""
        if not which:
            return []
        s, rows = self._stages, np.array(which, dtype=np.intp)
        slabs = s.conditioner.flush(rows)
        found = self._analyse(s.windower.push(slabs))
        found += self._analyse(s.windower.flush(rows))
        s.tracker.push(([], s.rhythm.flush(rows)))
        labels = s.networks.push(slabs) + s.networks.flush(rows)
        return found + self._findings([*s.added.flush(rows), *labels])

    def finish(self, row: int) -> list[Event]:
        """Return the events that follow from the end of a drained stream."""
        end = int(np.ceil(self._at(row, self._stream[row].next_sample)))
        spans = self._last_spans(row, end)
        found = self._rhythm_events(spans)
        found += self._alarm_events(self._stages.alarms.finish(row, spans, end))
        return found + self._recorded(self._stages.recorder.flush(np.array([row], dtype=np.intp)))

    def gap(self, row: int, run: Run) -> list[Event]:
        """Handle lost samples before this run. The row has been drained."""
        stream = self._stream[row]
        lost_from = self._at(row, run.first_sample - run.missing)
        end = int(np.ceil(lost_from))
        before = self._last_spans(row, end)
        found = self._alarm_events(self._stages.alarms.finish(row, before, end))
        stream.next_sample = run.first_sample
        sample = self._stages.restart(row, run.first_sample)
        until_ns = stream.start_ns + sample_offset_ns(run.first_sample, stream.fs_hz)
        found += self._control.skip(run.patient_id, until_ns)
        found += self._alarm_events(self._stages.alarms.gap(row, lost_from, sample))
        return self._rhythm_events(before + lost(row, end, sample)) + found

    def take_device(self, row: int, run: Run, was_lost: bool) -> list[Event]:
        """Take what a run says of its device and its sender. `was_lost`: the signal counted as lost
        until now."""
        alarms, at = self._stages.alarms, self._at(row, run.first_sample)
        alarms.device(row, run.battery, run.fault)
        found = self._alarm_events(alarms.restarted(row, at)) if run.restarted else []
        if run.refused:
            used = name_of(self._stream[row])
            alarms.refused(row, at, f"{used} is used, {run.refused} is refused")
        return found + (self._alarm_events(alarms.signal_back(row, at)) if was_lost else [])

    def signal_lost(self, row: int, after_s: float) -> list[Event]:
        """Raise the alarm that the signal has been silent for `after_s`."""
        last = self._at(row, self._stream[row].next_sample)
        steps = self._stages.alarms.signal_lost(row, last, last + after_s * FS_HZ)
        return self._alarm_events(steps)

    def _at(self, row: int, sample: int) -> float:
        """A sample of the stream, at 125 Hz."""
        return sample * FS_HZ / self._stream[row].fs_hz

    def _is_rr(self, row: int) -> bool:
        return is_rr(self._stream[row].lead)

    def _last_spans(self, row: int, end: int) -> list[Span]:
        return [] if self._is_rr(row) else self._stages.tracker.finish(row, end)

    def _by_rr(self, runs: Sequence[tuple[int, Run]]) -> list[Event]:
        """Analyse the RR intervals of straps without a trace."""
        seconds = self._stages.rr_only.push(
            [RrRun(row, run.first_sample, run.counts(), run.lead_off) for row, run in runs]
        )
        steps = rr_steps(self._stages.alarms, seconds)
        vitals = [events.vitals(self._stream[s.row], s.signs) for s in seconds]
        found = [*vitals, *self._rhythm_events([span for s in seconds for span in s.spans])]
        return [*found, *self._alarm_events(steps), *self._control.advance(vitals)]

    def _analyse(self, windows: list[Windows]) -> list[Event]:
        s = self._stages
        with self._timed("backbone"):
            seconds = s.detector.push(windows)
        with self._timed("lethal rhythm"):
            seconds = s.lethal.push(seconds)
        with self._timed("rhythm"):
            answers = s.rhythm.push(seconds)
        with self._timed("added tasks"):
            labels = s.added.push(seconds)
        with self._timed("beats, vitals, rhythm"):
            labelled = s.beat_context.push((s.labeller.push(seconds), answers))
            beats = s.signal_facts.push(labelled)
            spans = s.tracker.push((beats, answers))
            signs = s.variability.push((s.vitals.push(beats), beats, spans))
        with self._timed("alarms"):
            steps = s.alarms.push((beats, signs, spans))
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
        return [events.rhythm(self._stream[e.row], e) for e in self._stages.joiner.push(spans)]

    def _findings(self, labels: Sequence[TaskLabel]) -> list[Event]:
        return [events.finding(self._stream[s.row], s, self._version) for s in labels]

    def _alarm_events(self, steps: list[AlarmStep]) -> list[Event]:
        found: list[Event] = []
        for step in steps:
            alarm = events.alarm(self._stream[step.row], step)
            found += self._control.take(alarm)
            if alarm.step == "onset" and not self._is_rr(step.row):
                strips = self._stages.recorder.request_strip(
                    step.row, alarm.id, alarm.kind, alarm.onset_sample, alarm.raised_sample
                )
                found += self._recorded(strips)
        return found

    def _recorded(self, items: Sequence[PackedBlock | AlarmStrip]) -> list[Event]:
        return [events.recorded(self._stream[item.row], item) for item in items]
