"""Watches a model folder: a model put there is loaded, checked and offered to the ward, while the
old model goes on.

Once a second the folder's files are looked at (names, sizes, times). When they have changed, a
thread loads them; a folder that is damaged, half copied, or that does not extend the model in use
(models/serving/extension.py) is refused with a line in the log.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ingest.clock import Clock
from ingest.errors import BadInputError
from models.serving.extension import check_extends
from models.serving.runtime import Model

LOOK_S = 1.0
log = logging.getLogger(__name__)
Fingerprint = tuple[tuple[str, int, int, int], ...]


class ModelWatch:
    """Loads the folder's model at once (raises BadInputError); `take` returns later ones. One
    thread at a time may call it."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder, self._clock = folder, clock
        self._looked = fingerprint(folder)
        self.model = Model(folder)
        self._next_s = clock.steady_s() + LOOK_S
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._loading: Future[Model | None] | None = None

    def take(self) -> Model | None:
        """Return a new model that extends the one in use, once; None if there is none. Never
        waits."""
        if self._loading is not None:
            if not self._loading.done():
                return None
            found, self._loading = self._loading.result(), None
            self.model = found or self.model
            return found
        now = self._clock.steady_s()
        if now >= self._next_s:
            self._next_s = now + LOOK_S
            there = fingerprint(self._folder)
            # while a folder is replaced there is none for a moment
            if there and there != self._looked:
                self._looked = there
                self._loading = self._thread.submit(self._load, there)
        return None

    def _load(self, there: Fingerprint) -> Model | None:
        try:
            found = Model(self._folder)
            if found.spec.version == self.model.spec.version:
                return None
            check_extends(self.model, found)
        except BadInputError as error:
            self._refuse(error.problem)
        # ONNX Runtime raises errors of many kinds for a bad file; none of them may end the
        # processor
        except Exception as error:
            self._refuse(str(error))
        else:
            if fingerprint(self._folder) == there:
                log.info(
                    "model %s takes the place of %s", found.spec.version, self.model.spec.version
                )
                return found
        return None

    def _refuse(self, problem: str) -> None:
        log.warning(
            "the model in %s is not used, %s goes on: %s",
            self._folder,
            self.model.spec.version,
            problem,
        )


def fingerprint(folder: Path) -> Fingerprint:
    """Return a fingerprint of a model folder: names, sizes and times of its files; empty if there
    is no model."""
    try:
        found = [
            (path.name, path.stat()) for path in (folder / "spec.json", *folder.glob("*.onnx"))
        ]
    except OSError:
        return ()
    return tuple(sorted((name, s.st_size, s.st_mtime_ns, s.st_ino) for name, s in found))
