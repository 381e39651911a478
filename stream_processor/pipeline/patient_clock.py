"""Keeps when each patient's last chunk came: whose signal is lost, whose stream is over, and for
whom time goes on without a signal. Everything by the steady clock, never by the patients' own
times."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ingest.clock import Clock

CLOSE_AFTER_S = 300.0  # without a chunk, a stream is finished and forgotten


class PatientClock:
    """The time since each patient's last chunk, by the steady clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_chunk_s: dict[str, float] = {}
        self._lost: set[str] = set()
        # patients whose time goes on without a signal: the time up to which it has been counted
        self._counted_to: dict[str, float] = {}

    def chunk_came(self, patient_id: str) -> bool:
        """Record that a chunk came. Returns whether the signal had counted as lost."""
        self._last_chunk_s[patient_id] = self._clock.steady_s()
        was_lost = patient_id in self._lost
        self._lost.discard(patient_id)
        return was_lost

    def mark_lost(self, patient_id: str) -> None:
        """Mark the signal as lost until the next chunk."""
        self._lost.add(patient_id)

    def is_lost(self, patient_id: str) -> bool:
        """Whether the signal counts as lost."""
        return patient_id in self._lost

    def end_stream(self, patient_id: str) -> None:
        """Record that the patient's stream is closed."""
        del self._last_chunk_s[patient_id]
        self._lost.discard(patient_id)

    def forget(self, patient_id: str) -> None:
        """Forget a patient who belongs to another processor."""
        self._counted_to.pop(patient_id, None)

    def over(self) -> list[str]:
        """Patients whose stream has been silent for so long that it is finished."""
        now = self._clock.steady_s()
        return [id_ for id_, last in self._last_chunk_s.items() if now - last > CLOSE_AFTER_S]

    def silent(self, limit_s: Callable[[str], float]) -> list[str]:
        """Patients silent for longer than their limit whose signal does not yet count as lost."""
        now = self._clock.steady_s()
        return [
            id_
            for id_, last in self._last_chunk_s.items()
            if id_ not in self._lost and now - last > limit_s(id_)
        ]

    def passed_ns(self, watched: Iterable[str]) -> dict[str, int]:
        """For each of these patients without a signal, the time since this was last asked; 0 the
        first time."""
        now = self._clock.steady_s()
        alone = [id_ for id_ in watched if id_ in self._lost or id_ not in self._last_chunk_s]
        passed = {id_: round((now - self._counted_to.get(id_, now)) * 1e9) for id_ in alone}
        self._counted_to = dict.fromkeys(alone, now)
        return passed
