"""The stages of the data path, each entered once, and their life as one: what happens to a stream
happens to every stage."""

from __future__ import annotations

from typing import Any, TypeVar

from models.serving.runtime import Model, UsesModel
from models.signal.conditioning import Conditioner
from models.signal.stage import Stage, State
from models.signal.windows import Windower
from stream_processor.pipeline.alarms.engine import AlarmEngine
from stream_processor.pipeline.stages.beat_context import RhythmInBeats
from stream_processor.pipeline.stages.detector import BeatDetector
from stream_processor.pipeline.stages.episodes import EpisodeJoiner
from stream_processor.pipeline.stages.labeller import BeatLabeller
from stream_processor.pipeline.stages.rhythm import RhythmTracker
from stream_processor.pipeline.stages.rr_only import RrMeter
from stream_processor.pipeline.stages.signal_facts import SignalFacts
from stream_processor.pipeline.stages.tasks.added import AddedTasks
from stream_processor.pipeline.stages.tasks.lethal import LethalTask
from stream_processor.pipeline.stages.tasks.networks import NetworkTasks
from stream_processor.pipeline.stages.tasks.sequences import SequenceTask
from stream_processor.pipeline.stages.variability import Variability
from stream_processor.pipeline.stages.vitals import VitalsMeter
from stream_processor.pipeline.stages.waveform_recorder import WaveformRecorder

# tasks of the model whose answers become beats, rhythm and alarms; any other one's are findings
BUILT_IN = ("lethal", "rhythm")
S = TypeVar("S", bound=Stage[Any, Any])


class StageList:
    """Every stage by name, in the order of the path. Opened and closed in step, they give a stream
    the same row."""

    def __init__(self, model: Model) -> None:
        self._stages: dict[str, Stage[Any, Any]] = {}
        self.recorder = self._enter("recorder", WaveformRecorder())
        self.conditioner = self._enter("conditioner", Conditioner())
        self.windower = self._enter("windower", Windower(model.input))
        self.detector = self._enter("detector", BeatDetector(model))
        self.lethal = self._enter("lethal", LethalTask(model))
        self.rhythm = self._enter("rhythm", SequenceTask(model, "rhythm"))
        self.added = self._enter("added", AddedTasks(model, BUILT_IN))
        self.networks = self._enter("networks", NetworkTasks(model))
        self.labeller = self._enter("labeller", BeatLabeller(model))
        self.beat_context = self._enter("beat_context", RhythmInBeats())
        self.signal_facts = self._enter("signal_facts", SignalFacts())
        self.vitals = self._enter("vitals", VitalsMeter())
        self.tracker = self._enter("tracker", RhythmTracker())
        self.joiner = self._enter("joiner", EpisodeJoiner())
        self.variability = self._enter("variability", Variability())
        self.rr_only = self._enter("rr_only", RrMeter())
        self.alarms = self._enter("alarms", AlarmEngine())

    def _enter(self, name: str, stage: S) -> S:
        self._stages[name] = stage
        return stage

    def use(self, model: Model) -> None:
        """Give this model to every stage that uses one."""
        for stage in self._stages.values():
            if isinstance(stage, UsesModel):
                stage.use(model)

    def open(self, patient_id: str, fs_hz: float) -> int:
        """Open a row in every stage."""
        (row,) = {stage.open(patient_id, fs_hz) for stage in self._stages.values()}
        return row

    def restart(self, row: int, sample: int) -> int:
        """Go on after a gap at this sample of the stream; returns it at 125 Hz."""
        for stage in self._stages.values():
            sample = stage.restart(row, sample)
        return sample

    def close(self, row: int) -> None:
        """Close the row in every stage."""
        for stage in self._stages.values():
            stage.close(row)

    def snapshot(self, row: int) -> dict[str, State]:
        """Return every stage's state of the row."""
        return {name: stage.snapshot(row) for name, stage in self._stages.items()}

    def check(self, states: dict[str, State]) -> None:
        """Raise ValueError if these are not the states of just these stages."""
        if states.keys() != self._stages.keys():
            raise ValueError(f"stages {sorted(states)}, expected {sorted(self._stages)}")

    def restore(self, row: int, states: dict[str, State]) -> None:
        """Make an open row remember what `snapshot` returned."""
        for name, stage in self._stages.items():
            stage.restore(row, states[name])
