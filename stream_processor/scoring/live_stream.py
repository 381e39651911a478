"""The running score of one stream against the annotations that are replayed beside it.

Everything that is not settled yet is kept and scored anew each time by the offline rules (beats.py,
reference.py), so that the last score equals the offline one; what is settled is only a sum
(live_state.py). Beats are settled once a later beat and a later annotation have arrived: a message
that arrives after its time was scored still counts, from the next Score on. Unlike the offline
report, nothing is left out as learning time.
"""

from __future__ import annotations

import msgspec

from ingest.messages import Alarm, Beat, Reference, Rhythm, Score, sample_offset_ns
from stream_processor.scoring.beats import BeatScore
from stream_processor.scoring.live_beats import (
    add_counts,
    beat_matrix,
    rhythm_agreement,
    sum_final_beats,
)
from stream_processor.scoring.live_episodes import ALARM_KINDS, count_episodes, sum_final_episodes
from stream_processor.scoring.live_reference import reference_of
from stream_processor.scoring.live_state import LiveStreamState, first_index, start_of
from stream_processor.scoring.reference import AAMI

EVERY_S = 5.0
EARLY_S = 300.0  # how far a stream may be ahead of its first annotation


class StreamScore:
    """Scores one stream from its first sample on. Each topic must arrive in order; it may arrive at
    its own pace, and a message more than once."""

    def __init__(self, state: LiveStreamState) -> None:
        self._state = state

    @classmethod
    def open(cls, message: Beat | Rhythm) -> StreamScore:
        """Begin the stream that the message belongs to."""
        return cls(
            LiveStreamState(
                message.patient_id,
                message.device_id,
                message.lead,
                message.fs_hz,
                start_of(message),
            )
        )

    @classmethod
    def restore(cls, state: bytes) -> StreamScore:
        """Go on from what `snapshot` returned. Raises msgspec.DecodeError for anything else."""
        return cls(msgspec.msgpack.decode(state, type=LiveStreamState))

    def snapshot(self) -> bytes:
        """Return the state as MessagePack."""
        return msgspec.msgpack.encode(self._state)

    @property
    def start_ns(self) -> int:
        """Time of the stream's sample 0, Unix time in ns, which identifies a stream of a patient."""
        return self._state.start_ns

    @property
    def reached(self) -> int:
        """The sample up to which our rhythm, and with it everything else, is decided."""
        return self._state.reached

    @property
    def has_references(self) -> bool:
        """True if an annotation has arrived."""
        return self._state.first is not None

    @property
    def done(self) -> bool:
        """True if the last Score says all there is to say."""
        state = self._state
        return not self.has_references or (state.given >= state.reached and not state.changed)

    def late(self) -> int:
        """Return how many messages arrived after their time was settled, since the last call."""
        n, self._state.late = self._state.late, 0
        return n

    def owns(self, message: Reference) -> bool:
        """Return whether the annotation belongs to this stream."""
        return (
            message.time_ns - sample_offset_ns(message.sample, self._state.fs_hz)
            == self._state.start_ns
        )

    def take(self, message: Reference | Beat | Rhythm | Alarm) -> None:
        """Add a message of this stream; messages about settled time are ignored."""
        if not isinstance(message, Alarm) or message.kind in ALARM_KINDS:
            self._state.take(message)

    def advance(self, until: int) -> list[Score]:
        """Score up to the sample `until`, about whose past every message has been taken; return one
        Score for every 5 s."""
        state, step = self._state, round(EVERY_S * self._state.fs_hz)
        scores: list[Score | None] = []
        while (end := (state.given // step + 1) * step) <= min(until, state.reached):
            scores.append(self._score(end))
        return [s for s in scores if s is not None]

    def finish(self) -> list[Score]:
        """Score everything that has arrived, as at the stream's end; the stream may still go on."""
        scores = self.advance(self._state.reached)
        last = None if self.done else self._score(max(self._state.given, self._state.reached))
        return scores if last is None else [*scores, last]

    def _score(self, end: int) -> Score | None:
        """Settle what can be settled, and return the Score up to a sample; None before the first
        annotation."""
        state = self._state
        state.given, state.changed = end, False
        if state.first is None:
            state.forget_beats(end - round(EARLY_S * state.fs_hz))
            return None
        known = reference_of(state, end)
        state.has_beats = state.has_beats or bool(known.beats)
        sum_final_beats(state, end)
        sum_final_episodes(state, known, end)
        beats = BeatScore(add_counts(state.matrix, beat_matrix(state, known, end)))
        qrs, v, s = beats.qrs, beats.veb, beats.sveb
        rhythm_n, agreed_n = rhythm_agreement(state, end)
        episodes, alarmed, worst = count_episodes(state, known, end, end)
        worst = max((w for w in (worst, state.worst) if w is not None), default=None)
        self._prune()
        return Score(
            patient_id=state.patient_id,
            device_id=state.device_id,
            lead=state.lead,
            time_ns=state.start_ns + sample_offset_ns(end, state.fs_hz),
            qrs_tp=qrs.tp,
            qrs_fn=qrs.fn,
            qrs_fp=qrs.fp,
            v_tp=v.tp,
            v_fn=v.fn,
            v_fp=v.fp,
            s_tp=s.tp,
            s_fn=s.fn,
            s_fp=s.fp,
            rhythm_s=round((state.rhythm_n + rhythm_n) / state.fs_hz, 3),
            rhythm_agreed_s=round((state.agreed_n + agreed_n) / state.fs_hz, 3),
            episodes=state.episodes + episodes,
            episodes_alarmed=state.alarmed + alarmed,
            worst_delay_s=None if worst is None else round(worst / state.fs_hz, 3),
        )

    def _prune(self) -> None:
        """Drop settled annotations and alarms, but the rhythm and flutter still in force."""
        state = self._state
        to = min(state.beats_to, state.episodes_to)
        old = state.symbols[: (i := first_index(state.symbols, state.beats_to))]
        rhythm = [s for s in old if s.sample < to and s.symbol == "+" and s.aux.startswith("(")][
            -1:
        ]
        flutter = [
            s
            for s in [s for s in old if s.sample < to and s.symbol in "[]"][-1:]
            if s.symbol == "["
        ]
        state.symbols[:i] = sorted(rhythm + flutter) + [
            s for s in old if s.sample >= to and s.symbol not in AAMI
        ]
        state.calls = {
            name: c
            for name, c in state.calls.items()
            if c.end is None or c.end >= state.episodes_to
        }
