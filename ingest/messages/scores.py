"""Scores: how well the stream agrees with a reference."""

from __future__ import annotations

import msgspec

from ingest.messages.kinds import SCHEMA


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Agreement of the stream so far with the reference annotations that are replayed beside it.
    Topic ecg.scores.

    Identity: (patient_id, time_ns). Beats within 150 ms match; counts since the stream began.
    """

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    time_ns: int  # stream time: everything before it has been scored
    qrs_tp: int
    qrs_fn: int
    qrs_fp: int
    v_tp: int
    v_fn: int
    v_fp: int
    s_tp: int
    s_fn: int
    s_fp: int
    rhythm_s: float  # seconds with a reference rhythm
    rhythm_agreed_s: float
    episodes: int  # reference episodes that must alarm (VF, VFL, VT, asystole, AF)
    episodes_alarmed: int
    worst_delay_s: float | None = None  # from an episode's onset to its alarm's `raised_ns`
