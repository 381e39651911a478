"""Check that a model extends another: it gives the same answers, bit for bit, and may answer more
tasks.

Only such a model may replace another in a running processor: the state of the stages stays valid,
and the answers of the old tasks do not change.
"""

from __future__ import annotations

import numpy as np

from ingest.errors import BadInputError
from models.serving.runtime import Floats, Model, Spec

RESTART = "Only a restart can use it: stop the processors, replace the model folder, and start them again."
# Fields of spec.json; tasks and files are compared one by one. Networks may come, change and go:
# nothing but their own findings depends on them.
MAY_DIFFER = {"name", "version", "tasks", "files", "figures", "about", "networks"}
TRIALS = 64  # random windows


def check_extends(old: Model, new: Model, windows: Floats | None = None) -> None:
    """Check that `new` gives the answers of `old` on random windows and on `windows` (n, length).

    Raises BadInputError that names the difference.
    """
    _check_specs(old.spec, new.spec)
    trials = (
        random_windows(old.input.length)
        if windows is None
        else np.concatenate([random_windows(old.input.length), windows])
    )
    (mask, steps), (new_mask, new_steps) = old.segment(trials), new.segment(trials)
    if mask.tobytes() != new_mask.tobytes():
        raise BadInputError(
            f"model {new.folder}: its QRS detection differs from that of {old.folder}", RESTART
        )
    for task in old.spec.tasks:
        ours = slice(*task.channels)
        if steps[:, :, ours].tobytes() != new_steps[:, :, ours].tobytes():
            raise BadInputError(
                f"model {new.folder}: its features for {task.name!r} differ from those of {old.folder}",
                RESTART,
            )


def random_windows(length: int) -> Floats:
    """Make scaled windows of every sort of signal, always the same: noise, pulses, steps, zeros,
    and clipped signal: (TRIALS, length)."""
    rng = np.random.default_rng(2304)
    x = rng.standard_normal((TRIALS, length)) * np.exp(rng.uniform(-3, 1, (TRIALS, 1)))
    at = np.arange(length)
    for row in range(0, TRIALS, 2):
        for centre in np.arange(rng.uniform(0, 60), length, rng.uniform(35, 150)):
            x[row] += rng.uniform(-8, 8) * np.exp(-0.5 * ((at - centre) / rng.uniform(1, 12)) ** 2)
    x[3::8] += rng.uniform(-3, 3, (len(x[3::8]), 1))
    x[5::8, : length // 2] = 0  # a young stream
    x[7] = 0
    return np.clip(x, -12, 12).astype(np.float32)


def _check_specs(old: Spec, new: Spec) -> None:
    for field in set(Spec.__struct_fields__) - MAY_DIFFER:
        if getattr(new, field) != getattr(old, field):
            raise BadInputError(
                f"model {new.version}: {field!r} in its spec.json is not that of {old.version}",
                RESTART,
            )
    if new.tasks[: len(old.tasks)] != old.tasks:
        raise BadInputError(
            f"model {new.version}: its first tasks are not those of {old.version}", RESTART
        )
    for name in ("beats", *(task.name for task in old.tasks)):
        if new.files.get(name) != old.files.get(name):
            raise BadInputError(
                f"model {new.version}: {name}.onnx differs from that of {old.version}", RESTART
            )
