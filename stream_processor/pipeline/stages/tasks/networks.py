"""Networks of any architecture that were deployed beside the model's own tasks, as one stage: they
come and go with a model, also while signals run, and each starts with no past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from models.serving.runtime import Model, NetworkSpec
from models.signal.stage import Rows, Slab, State
from models.signal.windows import Windower, Windows
from stream_processor.pipeline.stages.tasks.findings import FindingReporter, TaskLabel


@dataclass
class _Deployed:
    """A network, its own windows, and which of their rows each of ours is."""

    # its name and what it was exported as: other weights under the same name have another state
    key: str
    spec: NetworkSpec
    windower: Windower
    rows: dict[int, int] = field(default_factory=dict)
    # first sample of signal of our rows, since open or a gap; none yet: no entry
    began: dict[int, int] = field(default_factory=dict)


class NetworkTasks:
    """Stage: slabs of conditioned signal in, stretches of the networks' labels out. See
    models/signal/stage.py for what every stage does."""

    def __init__(self, model: Model) -> None:
        self._reporter = FindingReporter()
        self._model = model
        self._networks: dict[str, _Deployed] = {}
        self._patients: dict[int, tuple[str, float]] = {}
        self.use(model)

    def use(self, model: Model) -> None:
        """Answer by this model's networks from now on: one that is new or has other weights begins
        with the next signal, one that is gone is forgotten."""
        before, self._model, self._networks = self._networks, model, {}
        for spec in model.spec.networks:
            key = f"{spec.name} {model.spec.files[spec.name].sha256[:12]}"
            kept = before.get(spec.name)
            if kept is None or kept.key != key:
                kept = _Deployed(key, spec, Windower(spec.input))
                for row, patient in self._patients.items():
                    _open(kept, row, *patient)
            self._networks[spec.name] = kept
        same = {name for name, one in self._networks.items() if one is before.get(name)}
        for row in self._patients:
            self._reporter.keep(row, same)

    def open(self, patient: str, fs: float) -> int:
        """Open a row for a new stream, with an empty state."""
        row = self._reporter.open(patient, fs)
        self._patients[row] = patient, fs
        for one in self._networks.values():
            _open(one, row, patient, fs)
        return row

    def close(self, row: int) -> None:
        """Close the row, so that another stream may get it."""
        self._reporter.close(row)
        del self._patients[row]
        for one in self._networks.values():
            one.windower.close(one.rows.pop(row))
            one.began.pop(row, None)

    def restart(self, row: int, sample: int) -> int:
        """Restart after a gap: forget what came before it."""
        for one in self._networks.values():
            one.windower.restart(one.rows[row], sample)
            one.began[row] = sample
        return self._reporter.restart(row, sample)

    def push(self, batch: Sequence[Slab]) -> list[TaskLabel]:
        """Return the stretches that this signal begins or prolongs, network by network."""
        found: list[TaskLabel] = []
        for one in self._networks.values():
            found += self._labels(one, one.windower.push([_moved(one, slab) for slab in batch]))
        return self._reporter.push(found)

    def flush(self, rows: Rows) -> list[TaskLabel]:
        """Return the last answers, and the stretches that have grown since they were reported."""
        found: list[TaskLabel] = []
        for one in self._networks.values():
            theirs = np.array([one.rows[row] for row in rows.tolist()], dtype=np.intp)
            found += self._labels(one, one.windower.flush(theirs))
        return self._reporter.push(found) + self._reporter.flush(rows)

    def snapshot(self, row: int) -> State:
        """Return the state of the row as plain data."""
        networks = {
            one.key: one.windower.snapshot(one.rows[row])
            for one in self._networks.values()
            if row in one.began
        }
        return {"networks": networks, "reported": self._reporter.snapshot(row)}

    def restore(self, row: int, state: State) -> None:
        """Set the row to a snapshot, which may be of other networks: those that it does not know
        stay fresh."""
        states = msgspec.convert(state["networks"], dict[str, State])
        known = [one for one in self._networks.values() if one.key in states]
        for one in known:
            one.windower.restore(one.rows[row], states[one.key])
            one.began[row] = int(states[one.key]["origin"])
        self._reporter.restore(row, state["reported"])
        self._reporter.keep(row, [one.spec.name for one in known])

    def _labels(self, one: _Deployed, windows: Sequence[Windows]) -> list[TaskLabel]:
        ours = {theirs: row for row, theirs in one.rows.items()}
        found = []
        for w in windows:
            probability = self._model.answer(one.spec.name, np.nan_to_num(w.x))
            best = probability.argmax(axis=1)
            for i, k in enumerate(best.tolist()):
                row, end = ours[int(w.rows[i])], int(w.written[i])
                start = max(one.began[row], int(w.end[i]) - one.spec.input.length)
                label, sure = one.spec.classes[k], float(probability[i, k])
                found.append(TaskLabel(row, one.spec.name, start, end, label, sure))
        return found


def _open(one: _Deployed, row: int, patient: str, fs: float) -> None:
    one.rows[row] = one.windower.open(patient, fs)


def _moved(one: _Deployed, slab: Slab) -> Slab:
    """The slab with the rows of the network's windows, which begin where its first signal does."""
    for row, start in zip(slab.rows.tolist(), slab.start.tolist(), strict=True):
        if row not in one.began:
            one.windower.restart(one.rows[row], start)
            one.began[row] = start
    return slab._replace(rows=np.array([one.rows[row] for row in slab.rows.tolist()], np.intp))
