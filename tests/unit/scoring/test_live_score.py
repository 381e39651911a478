"""Live scoring against offline scoring: any order of the topics, any repeats, any cut by a restart
give the offline counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
import wfdb.processing
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.messages import (
    Alarm,
    AlarmKind,
    Beat,
    Reference,
    Rhythm,
    RhythmLabel,
    Score,
    sample_offset_ns,
)
from stream_processor.scoring.beats import score_beats
from stream_processor.scoring.live import LiveScore
from stream_processor.scoring.reference import Mark, Record, Symbol, reference
from stream_processor.scoring.scorer_parts import INPUTS, PartitionState

FS = 250.0
START = 10**18
Message = Reference | Beat | Rhythm | Alarm


def ns(sample: int, start: int = START) -> int:
    return start + sample_offset_ns(sample, FS)


def note(sample: int, symbol: str, aux: str = "", start: int = START) -> Reference:
    return Reference(
        patient_id="p", time_ns=ns(sample, start), sample=sample, symbol=symbol, aux=aux
    )


def beat(sample: int, label: str = "N", start: int = START) -> Beat:
    return Beat(
        patient_id="p",
        device_id="d",
        lead="II",
        fs_hz=FS,
        time_ns=ns(sample, start),
        sample=sample,
        rr_ms=None,
        label=label,
        confidence=1.0,
        label_probability=1.0,
    )


def rhythm(first: int, end: int, label: RhythmLabel = "N", start: int = START) -> Rhythm:
    return Rhythm(
        patient_id="p",
        device_id="d",
        lead="II",
        fs_hz=FS,
        start_ns=ns(first, start),
        end_ns=ns(end, start),
        start_sample=first,
        end_sample=end,
        label=label,
        probability=1.0,
    )


def alarm(
    kind: AlarmKind,
    onset_s: float,
    raised_s: float,
    end_s: float | None = None,
    *,
    announced: bool = True,
) -> Alarm:
    onset, raised = round(onset_s * FS), round(raised_s * FS)
    end = None if end_s is None else round(end_s * FS)
    return Alarm(
        patient_id="p",
        device_id="d",
        lead="II",
        fs_hz=FS,
        id=f"p:{kind}:{onset}",
        kind=kind,
        priority="high",
        step="onset" if end is None else "end",
        changed_ns=ns(raised if end is None else end),
        onset_ns=ns(onset),
        raised_ns=ns(raised),
        end_ns=None if end is None else ns(end),
        onset_sample=onset,
        raised_sample=raised,
        end_sample=end,
        announced=announced,
    )


def so_far(end: int, label: RhythmLabel = "N", first: int = 0) -> list[Rhythm]:
    """The messages of one episode, every 5 s and at its end."""
    step = round(5 * FS)
    return [rhythm(first, at, label) for at in [*range(first + step, end, step), end]]


def final(messages: Iterable[Message]) -> Score:
    live = LiveScore()
    for message in messages:
        live.take(message)
    return live.finish()[-1]


def beat_counts(score: Score) -> list[tuple[int, int, int]]:
    return [
        (score.qrs_tp, score.qrs_fn, score.qrs_fp),
        (score.v_tp, score.v_fn, score.v_fp),
        (score.s_tp, score.s_fn, score.s_fp),
    ]


def offline(
    notes: Sequence[Reference], beats: Sequence[Beat], n: int
) -> list[tuple[int, int, int]]:
    """By the offline rules, over the whole record at once."""
    theirs = reference([Symbol(r.sample, r.symbol, r.aux) for r in notes if r.sample < n], FS, n)
    ours = Record(FS, n, tuple(Mark(b.sample, b.label) for b in beats if b.sample < n))
    found = score_beats(theirs, ours, 0.0)
    return [(c.tp, c.fn, c.fp) for c in (found.qrs, found.veb, found.sveb)]


# Beats at 30 to 400 per minute; ours are near, far, missing or extra.
beats_drawn = st.lists(
    st.tuples(
        st.integers(38, 500),
        st.sampled_from("NNNNLVVAF/!"),
        st.integers(-60, 60),
        st.sampled_from("NNNVS-"),
        st.booleans(),
    ),
    min_size=1,
    max_size=80,
)


def drawn(
    rows: Sequence[tuple[int, str, int, str, bool]], flutter: bool
) -> tuple[list[Reference], list[Beat], int]:
    notes, beats, at = [note(0, "+", "(N")], {}, 0
    for i, (gap, symbol, shift, label, extra) in enumerate(rows):
        at += gap
        notes.append(note(at, symbol if i else "N"))
        if flutter and i % 30 in (10, 20):
            notes.append(note(at + 5, "[" if i % 30 == 10 else "]"))
        if label != "-" and at + shift >= 0:
            beats[at + shift] = beat(at + shift, label)
        if extra:
            beats[at + gap // 3] = beat(at + gap // 3)
    return notes, [beats[k] for k in sorted(beats)], at + 300


@settings(deadline=None)
@given(beats_drawn, st.booleans(), st.randoms(use_true_random=False))
def test_any_order_of_topics_and_any_repeats_give_the_offline_counts(rows, flutter, random):
    notes, beats, n = drawn(rows, flutter)
    alarms = [alarm("ventricular_tachycardia", 3, 6), alarm("ventricular_tachycardia", 3, 6, 9)]
    wanted = final([*notes, *beats, *so_far(n), *alarms])
    assert beat_counts(wanted) == offline(notes, beats, n)

    topics: list[list[Message]] = [list(notes), list(beats), list(so_far(n)), list(alarms)]
    live, at, scores = LiveScore(), [0, 0, 0, 0], []
    while any(i < len(topic) for i, topic in zip(at, topics, strict=True)):
        which = random.choice([k for k in range(4) if at[k] < len(topics[k])])
        live.take(topics[which][at[which]])
        at[which] += 1
        if random.random() < 0.05:  # read again, as after a restart
            at[which] = max(0, at[which] - random.randrange(10))
        if random.random() < 0.02:
            live = LiveScore.restore(live.snapshot())
        if random.random() < 0.1:  # judged at any time, whatever has not come yet
            scores += live.finish() if random.random() < 0.3 else live.advance(live.reached())
    scores += live.finish()
    # the last one told, even if it was told earlier: then nothing has come since that would change
    # it
    assert scores[-1] == wanted
    assert live.done
    assert live.late() == 0


@settings(deadline=None)
@given(beats_drawn, st.booleans(), st.randoms(use_true_random=False))
def test_scores_on_the_way_come_at_the_same_times_with_the_same_counts(rows, flutter, random):
    """Judged in steps, each when all before it has been taken, with restarts: the same Scores as
    judged at once."""
    notes, beats, n = drawn(rows, flutter)
    at_once = LiveScore()
    for message in [*notes, *beats, *so_far(n)]:
        at_once.take(message)
    wanted = {s.time_ns: s for s in at_once.finish()}

    live, scores = LiveScore(), []
    in_time = sorted(
        [*((r.sample, r) for r in notes), *((b.sample, b) for b in beats)], key=lambda pair: pair[0]
    )
    for episode in so_far(n):
        while in_time and in_time[0][0] < episode.end_sample + random.randrange(0, 2000):
            live.take(in_time.pop(0)[1])
        live.take(episode)
        if random.random() < 0.5:
            scores += live.advance(live.reached())
        if random.random() < 0.3:
            live = LiveScore.restore(live.snapshot())
    for _, message in in_time:
        live.take(message)
    scores += live.finish()
    assert [s.time_ns for s in scores] == sorted(s.time_ns for s in scores)
    assert {s.time_ns: s for s in scores} == wanted


@settings(deadline=None)
@given(beats_drawn)
def test_qrs_counts_are_those_of_wfdb(rows):
    notes, beats, n = drawn(
        [row for row in rows if row[1] != "!"] or [(100, "N", 0, "N", False)], flutter=False
    )
    score = final([*notes, *beats, *so_far(n)])
    theirs, ours = (
        np.array([r.sample for r in notes if r.symbol != "+"]),
        np.array([b.sample for b in beats]),
    )
    if len(ours) == 0:
        assert (score.qrs_tp, score.qrs_fp) == (0, 0)
        return
    compared = wfdb.processing.Comparitor(theirs, ours, int(0.15 * FS))
    compared.compare()
    assert (score.qrs_tp, score.qrs_fn, score.qrs_fp) == (compared.tp, compared.fn, compared.fp)


def test_f_is_neither_for_nor_against_v():
    #      ref  N F F V V /
    #      ours V V N V N V
    notes = [note(0, "+", "(N"), *(note(200 * i + 200, s) for i, s in enumerate("NFFVV/"))]
    beats = [beat(200 * i + 200, s) for i, s in enumerate("VVNVNV")]
    score = final([*notes, *beats, *so_far(2000)])
    assert (score.qrs_tp, score.qrs_fn, score.qrs_fp) == (6, 0, 0)
    assert (score.v_tp, score.v_fn, score.v_fp) == (1, 1, 1)


def test_rhythm_agreement_counts_decided_seconds_only():
    # reference |(N 20 s---------|(AFIB 20 s-----|(NOISE 10 s|(SBR 10 s|
    # ours      |N 25 s------------|AFIB 10 s|~ 5s|O 10 s    |N 10 s   |
    s = round(FS)
    notes = [
        note(0, "+", "(N"),
        note(20 * s, "+", "(AFIB"),
        note(40 * s, "+", "(NOISE"),
        note(50 * s, "+", "(SBR"),
    ]
    ours = [
        rhythm(0, 25 * s),
        rhythm(25 * s, 35 * s, "AFIB"),
        rhythm(35 * s, 40 * s, "~"),
        rhythm(40 * s, 50 * s, "O"),
        rhythm(50 * s, 60 * s),
    ]
    score = final([*notes, *ours])
    assert (score.rhythm_s, score.rhythm_agreed_s) == (45.0, 40.0)


def test_episodes_that_must_alarm_and_their_delay():
    # reference |(N|(VF 12 s|(N|(VT 9 s: too short|(N|(ASYS 15 s|(N|(AFIB 40 s ...|
    s = round(FS)
    notes = [
        note(0, "+", "(N"),
        note(20 * s, "+", "(VF"),
        note(32 * s, "+", "(N"),
        note(50 * s, "+", "(VT"),
        note(59 * s, "+", "(N"),
        note(80 * s, "+", "(ASYS"),
        note(95 * s, "+", "(N"),
        note(400 * s, "+", "(AFIB"),
    ]
    alarms = [
        alarm("ventricular_fibrillation", 21, 26.5),
        alarm("ventricular_fibrillation", 21, 26.5, 33),
        alarm("asystole", 79, 84, announced=False),
        alarm("atrial_fibrillation", 405, 436),
    ]
    live = LiveScore()
    for message in [*notes, *alarms, *so_far(440 * s)]:
        live.take(message)
    scores = {round((score.time_ns - START) / 1e9): score for score in live.finish()}
    counts = {
        at: (score.episodes, score.episodes_alarmed, score.worst_delay_s)
        for at, score in scores.items()
    }
    assert counts[25] == (0, 0, None)
    assert counts[30] == (1, 1, 6.5)
    assert counts[60] == counts[85] == (1, 1, 6.5)
    # the asystole alarm was held back: nobody heard it
    assert counts[95] == counts[425] == (2, 1, 6.5)
    assert counts[430] == counts[435] == (3, 1, 6.5)
    assert counts[440] == (3, 2, 36.0)


def test_a_record_without_beat_annotations_has_no_beat_counts():
    s = round(FS)
    score = final(
        [note(0, "+", "(VT"), *(beat(200 * i) for i in range(1, 500)), *so_far(400 * s, "VT")]
    )
    assert beat_counts(score) == [(0, 0, 0)] * 3
    assert score.rhythm_agreed_s == 400.0


def test_another_stream_has_a_score_of_its_own():
    """The record again, a minute later: annotations of both come first, beats of the first are
    late."""
    n, later = round(20 * FS), START + 60 * 10**9
    places = range(200, 4000, 200)
    live = LiveScore()
    for message in [
        note(0, "+", "(N"),
        *(note(at, "N") for at in places),
        note(0, "+", "(N", later),
        *(note(at, "N", "", later) for at in places),
    ]:
        live.take(message)
    for message in [*(beat(at) for at in places), *so_far(n)]:
        live.take(message)
    assert live.finish()[-1].qrs_tp == len(places)
    for message in [
        *(beat(at, start=later) for at in list(places)[:5]),
        rhythm(0, n, start=later),
        beat(100),
    ]:
        live.take(message)
    last = live.finish()[-1]
    assert last.time_ns == ns(n, later)
    assert (last.qrs_tp, last.qrs_fn, last.qrs_fp) == (5, len(places) - 5, 0)


def test_what_is_judged_is_forgotten():
    """Two hours with restarts keep the size of the first minutes."""
    live, sizes = LiveScore(), []
    live.take(note(0, "+", "(N"))
    for minute in range(120):
        first = round(60 * FS) * minute
        for at in range(first + 100, first + 15000, 200):
            live.take(note(at, "N"))
            live.take(beat(at))
        live.take(rhythm(0, first + 15000 - 3750))
        scores = live.advance(live.reached())
        live = LiveScore.restore(live.snapshot())
        sizes.append(len(live.snapshot()))
    assert max(sizes) < 2000
    assert scores[-1].qrs_tp > 8000
    assert scores[-1].qrs_fn == scores[-1].qrs_fp == 0


def test_what_comes_after_its_score_still_counts():
    """The beats of three minutes come after the stream was thought to be over: the next Score has
    them."""
    s, places = round(FS), range(200, 45_000, 200)
    live = LiveScore()
    for message in [note(0, "+", "(N"), *(note(at, "N") for at in places), *so_far(180 * s)]:
        live.take(message)
    first = live.finish()[-1]
    assert (first.qrs_tp, first.qrs_fn) == (0, len(places))
    for at in places:
        live.take(beat(at))
    second = live.finish()
    assert [(x.time_ns, x.qrs_tp, x.qrs_fn, x.qrs_fp) for x in second] == [
        (first.time_ns, len(places), 0, 0)
    ]
    assert live.late() == 0


def test_what_comes_too_late_is_counted_once():
    """Beats that are more than ten minutes of the stream behind its rhythm are not scored, and that
    is told; a repeat is no late one."""
    s, places = round(FS), range(200, 300_000, 200)  # 20 min
    live = LiveScore()
    for message in [note(0, "+", "(N"), *(note(at, "N") for at in places), *so_far(1200 * s)]:
        live.take(message)
    live.finish()
    for at in [*places, *places]:
        live.take(beat(at))
    score = live.finish()[-1]
    assert score.qrs_tp + score.qrs_fn == len(places)
    assert live.late() == score.qrs_fn == sum(at < 600 * s - round(0.15 * FS) for at in places)
    assert live.late() == 0


def test_messages_of_a_patient_are_kept_until_all_annotations_sent_before_have_been_read():
    #   ecg.reference  |------ read to 5 ------|ends at 9|
    #   ecg.beats      |0 1 2 ... 99 of p, 0 of q| 100 of p
    part = PartitionState(dict.fromkeys(INPUTS, 0) | {"ecg.reference": 5})
    for offset in range(100):
        part.hold(b"p", ("ecg.beats", offset, b""))
    part.hold(b"q", ("ecg.beats", 100, b""))
    part.positions["ecg.beats"] = 102
    part.look_through(lambda: None)  # no answer
    part.look_through(lambda: 9)
    part.hold(b"p", ("ecg.beats", 101, b""))
    assert part.to_commit()["ecg.beats"] == 0
    assert [offset for _, offset, _ in part.release(b"p")] == [*range(100), 101]
    assert part.to_commit()["ecg.beats"] == 0  # for q
    part.positions["ecg.reference"] = 9
    part.look_through(lambda: pytest.fail("asked already"))
    assert part.release(b"q") == []
    assert part.to_commit()["ecg.beats"] == 101
    part.look_through(lambda: 9)
    assert part.to_commit()["ecg.beats"] == 102


def test_a_record_without_rhythm_annotations_has_beat_counts_only():
    score = final(
        [
            *(note(at, "N") for at in range(100, 4000, 200)),
            *(beat(at) for at in range(300, 4000, 200)),
            *so_far(5000),
        ]
    )
    assert (score.qrs_tp, score.qrs_fn, score.qrs_fp) == (19, 1, 0)
    assert (score.rhythm_s, score.episodes) == (0.0, 0)


def test_a_stream_without_annotations_gives_nothing():
    live = LiveScore()
    for i in range(1000):
        live.take(beat(200 * i))
    live.take(rhythm(0, 200_000))
    assert live.finish() == []
    assert live.done
    assert len(live.snapshot()) < 5000


@pytest.mark.parametrize("record", ["mitdb/207", "mitdb/208", "vfdb/418"])
def test_annotations_of_real_records_as_offline(record: str, data_dir: Path):
    """The experts against themselves, with every tenth beat lost and every seventh called V:
    brackets, pauses and all."""
    path = data_dir / record
    if not path.with_suffix(".atr").exists():
        pytest.skip(f"no {record} in {data_dir}")
    read = wfdb.rdann(str(path), "atr")
    notes = sorted(
        (
            note(s, y, a.strip("\0"))
            for s, y, a in zip(read.sample.tolist(), read.symbol, read.aux_note, strict=True)
        ),
        key=lambda r: (r.sample, r.symbol, r.aux),
    )
    marks = [r.sample for r in notes if r.symbol not in '+[]~|"']
    beats = [beat(at + 20, "V" if i % 7 == 0 else "N") for i, at in enumerate(marks) if i % 10]
    n = notes[-1].sample + 1000
    score = final([*notes, *beats, *so_far(n)])
    assert beat_counts(score) == offline(notes, beats, n)
