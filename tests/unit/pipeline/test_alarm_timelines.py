"""Clinical stories as data: a timeline drawn above its alarms.

One character is 0.2 s. In a beat line N S V are beats (n: called N, but nearly V), anything else is
none; in a signal line `-` is a flat line, `o` the device's lead-off flag, `x` a noisy second, `f` a
fibrillatory wave, `w` one that is regular, 180/min, `m` movement of no rate, `t` what the network
for lethal rhythms calls a ventricular tachycardia, `u` a baseline that jumps. The shorter line goes on with quiet, readable signal. Expected: (kind,
onset, raised, end) in seconds; raised is when the signal had come far enough, within a second of
the earliest moment.
"""

from __future__ import annotations

from typing import NamedTuple, get_args

import pytest

from ingest.messages import AlarmKind
from models.signal.conditioning import FS_HZ
from models.signal.windows import BEAT_SPEC
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.pipeline.alarms.engine import AlarmEngine
from stream_processor.pipeline.alarms.profiles import ADULT, Profile, changed
from stream_processor.pipeline.stages.episodes import Span
from stream_processor.pipeline.stages.seconds import AnalysedSecond, Beats, LabelledBeat
from stream_processor.pipeline.stages.signal_facts import SignalFacts
from stream_processor.pipeline.stages.vitals import VitalsMeter

CHARACTER_S = 0.2
V_PROBABILITY = {"N": 0.02, "S": 0.02, "V": 0.95, "n": 0.4}


class Row(NamedTuple):
    """An alarm of a story; end None: it still holds."""

    kind: str
    onset: float
    raised: float
    end: float | None
    announced: bool = True


def seconds(beats: str, signal: str) -> list[Beats]:
    """The story as the stages before the alarms would tell it."""
    length_s = max(len(beats), len(signal)) * CHARACTER_S
    signal = signal.ljust(round(length_s / CHARACTER_S))
    at = [i for i, c in enumerate(beats) if c in V_PROBABILITY]
    told_beats = []
    for before, i in zip([None, *at], at, strict=False):
        # an interval across lead-off says nothing
        across = before is None or set(signal[before:i]) & set("-o")
        rr_s = None if across or before is None else (i - before) * CHARACTER_S
        told_beats.append(
            LabelledBeat(
                i * CHARACTER_S * FS_HZ,
                rr_s,
                "N" if beats[i] == "n" else beats[i],
                0.99,
                0.95,
                V_PROBABILITY[beats[i]],
                int(beats[i] in "Vn"),
            )
        )
    told = []
    for k in range(int(length_s)):
        needed = BEAT_SPEC.end(k)
        until = needed - BEAT_SPEC.after
        upto = signal[: int(needed / FS_HZ / CHARACTER_S)]
        now = signal[
            max(0, round((until / FS_HZ - 1) / CHARACTER_S)) : int(until / FS_HZ / CHARACTER_S)
        ]
        own = tuple(b for b in told_beats if until - FS_HZ <= b.at < until)
        second = AnalysedSecond(
            row=0,
            k=k,
            until=until,
            needed=needed,
            complexes=(),
            fibrillation=0.9 if now.count("f") > 2 else 0.1,
            noisy=now.count("x") > 2,
            unsure=now.count("u") > 2 and not own,
            tachycardia=0.7 if now.count("t") > 2 else 0.0,
            still_s=(len(upto) - len(upto.rstrip("-"))) * CHARACTER_S,
            lead_off=now.endswith("o"),
            least_mv=0.3 if now.count("w") + now.count("m") > 2 else 0.01,
            rate=180.0,
            regular=0.95 if now.count("w") > 2 else 0.1,
        )
        told.append(Beats(second, own))
    facts = SignalFacts()
    assert facts.open("p", 250.0) == 0
    return facts.push(told)


def alarms(
    beats: str,
    signal: str = "",
    af: list[tuple[float, float]] | None = None,
    profile: Profile = ADULT,
) -> list[Row]:
    """Every alarm of the story, in order of onset."""
    meter, engine = VitalsMeter(), AlarmEngine()
    for stage in (meter, engine):
        assert stage.open("p", 250.0) == 0
    engine.set_profile(0, profile)
    rows: dict[tuple[str, float], Row] = {}
    for item in seconds(beats, signal):
        labelled, second = [item], item.second
        spans = [
            Span(
                0,
                int(a * FS_HZ),
                int((a + 5) * FS_HZ),
                "AFIB" if any(x <= a < y for x, y in af or []) else "N",
                0.9,
            )
            for a in range(0, 1000, 5)
            # a segment of 5 s is decided 15 s after its end
            if second.needed - FS_HZ < (a + 20) * FS_HZ <= second.needed
        ]
        for step in engine.push((labelled, meter.push(labelled), [spans])):
            a = step.alarm
            end = None if step.end is None else round(step.end / FS_HZ, 1)
            rows[step.kind, a.onset] = Row(
                step.kind, round(a.onset / FS_HZ, 1), round(a.raised / FS_HZ, 1), end, a.announced
            )
    return sorted(rows.values(), key=lambda r: (r.onset, r.raised))


STEADY = "N   "  # 75/min
SLOW = "N      "  # 43/min
STORIES: dict[str, tuple[str, str, list[Row]]] = {
    # |N   N   N   N   N   ...|
    "sinus rhythm": (STEADY * 40, "", []),
    # |N   N   N          N   N|  an RR of 2.2 s, known 2 s after the beat, over at the next
    "pause": (STEADY * 10 + "N" + " " * 10 + STEADY * 10, "", [Row("pause", 8.0, 11.4, 10.2)]),
    # |N   N   N                         N   N|  no QRS for 6 s: the pause first, then the asystole, which is worse, and over with the third beat
    "asystole": (
        STEADY * 10 + "N" + " " * 29 + STEADY * 10,
        "",
        [Row("pause", 8.0, 11.4, 14.0), Row("asystole", 8.0, 13.4, 15.6)],
    ),
    # |N   N   N                          ...|  nothing more: it still holds
    "asystole that goes on": (
        STEADY * 10 + "N" + " " * 60,
        "",
        [Row("pause", 8.0, 11.4, None), Row("asystole", 8.0, 13.4, None)],
    ),
    # |N   N   N u u u              N   N|  the baseline jumps: silence is counted from its end; the pause is not told from it
    "overload": (STEADY * 10 + "N" + " " * 29 + STEADY * 10, " " * 41 + "u" * 24, []),
    # |N   N   N u u u u u u u u u u u   N|  what moves is no silence, however long it lasts
    "no QRS in a signal that moves": (
        STEADY * 10 + "N" + " " * 49 + STEADY * 10,
        " " * 41 + "u" * 60,
        [],
    ),
    # |                              |  never a beat: counted from the start
    "asystole from the start": (" " * 50, "", [Row("asystole", 0.0, 5.4, None)]),
    # |N   N   N      ---------------N   N|  flat line: the electrode, not the heart
    "lead off takes precedence over asystole": (
        STEADY * 10 + "N" + " " * 39 + STEADY * 10,
        " " * 42 + "-" * 34,
        [Row("lead_off", 8.4, 10.4, 14.9)],
    ),
    # |N   N   ooooooooooooooo   N   N|  the device's own flag
    "lead off by the device": (
        STEADY * 10 + " " * 20 + STEADY * 10,
        " " * 40 + "o" * 20,
        [Row("lead_off", 7.9, 9.4, 12.0)],
    ),
    # |N   N   fffffffffffffffffffffff   N   N|  no QRS, but not asystole; over with the second second of beats
    "ventricular fibrillation": (
        STEADY * 10 + " " * 40 + STEADY * 10,
        " " * 40 + "f" * 40,
        [Row("ventricular_fibrillation", 7.9, 12.4, 17.6)],
    ),
    # |N   N   V V V fffffffff|  a run of V beats before it: told a second sooner
    "fibrillation with heralds": (
        STEADY * 10 + "V V V" + " " * 40 + STEADY * 10,
        " " * 45 + "f" * 40,
        [Row("ventricular_fibrillation", 8.9, 12.4, 18.6)],
    ),
    # |N   N   V V V V V V V V   N   N|  eight in a row at 150/min; over with the third beat of the form of before
    "ventricular tachycardia": (
        STEADY * 10 + "V " * 8 + STEADY * 10,
        "",
        [Row("ventricular_tachycardia", 8.0, 10.4, 12.8)],
    ),
    # |N   N   V V V V V n n n n n   N   N|  the network gets used to the beats: the tachycardia lasts until the old form comes back
    "ventricular tachycardia that the network gets used to": (
        STEADY * 10 + "V " * 6 + "n " * 20 + STEADY * 10,
        "",
        [
            Row("extreme_tachycardia", 6.4, 14.4, 20.0),
            Row("ventricular_tachycardia", 8.0, 10.4, 20.0),
            Row("hr_high", 11.9, 12.4, 21.9),
        ],
    ),
    # |N   N   wwwwwwwwwwwwwwwww   N   N|  nearly a sine of 180/min: a tachycardia of which no QRS is found
    "tachycardia without QRS": (
        STEADY * 10 + " " * 60 + STEADY * 10,
        " " * 40 + "w" * 60,
        [Row("ventricular_tachycardia", 7.2, 12.4, 21.6)],
    ),
    # |N   N   mmmmmmmmmmmmmmmmm   N   N|  it moves, but with no rate: nothing can be told, and it is no asystole
    "movement without QRS": (STEADY * 10 + " " * 60 + STEADY * 10, " " * 40 + "m" * 60, []),
    # |N   N   V n V   V V n V   V V|  irregular, some beats called N: an interval is too long for beats alone
    "irregular tachycardia seen in the beats only": (
        STEADY * 10 + "V n V   V V n V   V V " + STEADY * 10,
        "",
        [],
    ),
    # |N   N   ttttttttttttttttttttt|  the same, and the network for lethal rhythms sees it too
    "irregular tachycardia seen by both networks": (
        STEADY * 10 + "V n V   V V n V   V V " + STEADY * 10,
        " " * 40 + "t" * 22,
        [Row("ventricular_tachycardia", 8.0, 11.4, 14.0)],
    ),
    # |        ttttttttttttttttttttt|  but never without V beats
    "narrow beats that the network for lethal rhythms takes for a tachycardia": (
        "N  " * 60,
        " " * 40 + "t" * 100,
        [],
    ),
    # |N   N   V V V V   N   N|  four are not enough for a sustained one; known at the beat after, and stands for 10 s
    "non-sustained VT": (
        STEADY * 10 + "V " * 4 + STEADY * 20,
        "",
        [Row("nonsustained_vt", 8.0, 10.4, 9.2)],
    ),
    # |N   N   V    V    V   N   N|  three at 60/min are no tachycardia of any kind
    "short slow run": (STEADY * 10 + "V    " * 3 + STEADY * 20, "", []),
    # |N   N   V  V   N   N|
    "couplet": (STEADY * 10 + "V  V   " + STEADY * 20, "", [Row("pvc_couplet", 8.0, 10.4, 8.6)]),
    # |N   N   V  V          |  the run is over when nothing has come for 3 s; the silence is a pause
    "couplet before a pause": (
        STEADY * 10 + "V  V" + " " * 16 + STEADY * 20,
        "",
        [Row("pvc_couplet", 8.0, 12.4, 8.6), Row("pause", 8.6, 11.4, 12.0)],
    ),
    # |N   N   V V n V V n V V   N   N|  beats in it that were called N do not hide a run that began suddenly
    "ventricular tachycardia with doubtful beats": (
        STEADY * 10 + "V V n V V n V V " + "  " + STEADY * 20,
        "",
        [Row("pvc_couplet", 8.0, 9.4, 8.4), Row("ventricular_tachycardia", 8.0, 10.4, 12.9)],
    ),
    # |N  N  N  V  n  V  n  V  n  N|  100/min with PVCs is no VT: it did not begin suddenly, and is not fast enough
    "tachycardia with PVCs": (
        "N  " * 30 + "V  n  " * 4 + "N  " * 30,
        "",
        [Row("bigeminy", 17.4, 21.4, 22.8)],
    ),
    # |V    V    V    V    V    V|  60/min: five are a rhythm; each counts as a PVC, too
    "ventricular rhythm": (
        "V    " * 10 + STEADY * 5,
        "",
        [
            Row("ventricular_rhythm", 0.0, 5.4, 10.0),
            Row("ventricular_rhythm_end", 10.0, 11.4, None),
        ],
    ),
    # |V         V         V    ...|  30/min; slower than any rate's limit, but only the worst of the chain is announced
    "ventricular bradycardia": (
        "V         " * 8,
        "",
        [
            Row("extreme_bradycardia", 0.0, 9.4, None),
            Row("ventricular_bradycardia", 0.0, 9.4, None),
            Row("hr_low", 4.9, 5.4, None),
        ],
    ),
    # |N   N   V   N   V   N   V   N   N|  three cycles; over with the second N in a row
    "bigeminy": (
        STEADY * 10 + "V   N   " * 4 + STEADY * 10,
        "",
        [Row("bigeminy", 7.2, 12.4, 14.4)],
    ),
    # |N   N   V   N   N   V   N   N   V   N   N   N|
    "trigeminy": (
        STEADY * 10 + "V   N   N   " * 3 + STEADY * 10,
        "",
        [Row("trigeminy", 6.4, 13.4, 15.2)],
    ),
    # |N    N    N V    N|  0.4 s after the beat before at 60/min: on its T wave
    "R on T": ("N    " * 10 + "NV   " + "N    " * 10, "", [Row("r_on_t", 10.2, 11.4, 10.2)]),
    # |N    N    N   V    N|  0.8 s after: not
    "late PVC": ("N    " * 10 + "N   V     " + "N    " * 10, "", []),
    # |N  N  N V  N  N  N ...|  one in five beats: 15 a minute
    "many PVCs": ("N   N   N   N   V   " * 24, "", [Row("pvc_per_minute", 3.2, 44.4, None)]),
    # |N   N   N       N   N|  1.6 s between beats of 0.8 s: one did not come
    "missed beat": (
        STEADY * 10 + "N       " + STEADY * 20,
        "",
        [Row("missed_beat", 8.0, 10.4, 9.6)],
    ),
    # |N   N   S      N   N|  the pause after a premature beat is only its compensation
    "compensatory pause": (STEADY * 10 + "N  S      " + STEADY * 20, "", []),
    # |N   N   S S S S S   N   N|  five at 300/min, and five at 100/min
    "supraventricular run": (
        STEADY * 10 + "SSSSS   " + STEADY * 20,
        "",
        [Row("svt", 8.0, 9.4, 9.6)],
    ),
    "atrial rhythm": (STEADY * 10 + "S  " * 5 + STEADY * 20, "", []),
    # |N N N N ...|  150/min over 17 beats; the rate's own alarm is held back
    "extreme tachycardia": (
        "N " * 60,
        "",
        [Row("extreme_tachycardia", 0.0, 7.4, None), Row("hr_high", 0.9, 1.4, None)],
    ),
    # |N          N  ...|  37/min: the fifth beat tells; each RR of 1.6 s is no pause
    "extreme bradycardia": (
        "N       " * 12,
        "",
        [Row("extreme_bradycardia", 0.0, 7.4, None), Row("hr_low", 3.9, 4.4, None)],
    ),
    "heart rate low": (SLOW * 12, "", [Row("hr_low", 2.9, 3.4, None)]),
    # |x x x x ...|  20 noisy seconds of the last 30; 10 readable ones end it
    "artefact": (STEADY * 60, " " * 25 + "x" * 125, [Row("artefact", 4.9, 25.4, 40.9)]),
}


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    beats, signal, expected = STORIES[story]
    found = alarms(beats, signal)
    assert [(r.kind, r.onset, r.raised, r.end) for r in found] == [
        (r.kind, r.onset, r.raised, r.end) for r in expected
    ]


def test_only_the_worst_of_a_chain_is_announced() -> None:
    found = alarms("N " * 60)
    assert {r.kind: r.announced for r in found} == {
        "hr_high": False,
        "extreme_tachycardia": True,
    }  # the milder one came first, and is withdrawn
    found = alarms("N " * 60 + "N  " * 40)  # then 100/min: the worse one ends first
    assert {r.kind: r.announced for r in found} == {"hr_high": True, "extreme_tachycardia": True}


def test_a_kind_is_announced_once_a_minute_and_high_always() -> None:
    pauses = (STEADY * 10 + "N" + " " * 10) * 9
    assert [r.announced for r in alarms(pauses)] == [
        True,
        False,
        False,
        False,
        False,
        False,
        True,
        False,
    ]
    asystoles = (STEADY * 5 + "N" + " " * 24) * 4
    assert all(r.announced for r in alarms(asystoles) if r.kind == "asystole")


def test_atrial_fibrillation_begins_after_30_s_and_ends_after_30_s_without() -> None:
    row, over = alarms(STEADY * 240, af=[(20, 90), (100, 120)])
    assert (row.kind, row.onset, row.end) == ("atrial_fibrillation", 20.0, 120.0)
    assert (over.kind, over.onset) == ("atrial_fibrillation_end", 120.0)
    assert over.raised == pytest.approx(120 + 30 + 15, abs=1.1)
    assert row.raised == pytest.approx(20 + 30 + 15, abs=1.1)
    assert alarms(STEADY * 200, af=[(20, 45)]) == []


def test_every_kind_has_a_rule_or_happens_and_a_text() -> None:
    assert set(get_args(AlarmKind)) == set(CATALOGUE)
    for kind in CATALOGUE.values():
        assert kind.text.format(value=3.14, limit=2.72, detail="words")


def test_every_kind_has_a_story() -> None:
    told = {row.kind for _, _, expected in STORIES.values() for row in expected}
    below = {"atrial_fibrillation", "atrial_fibrillation_end", "battery", "device"}
    # tests/contract/test_ward.py, test_batches.py, tests/integration/processor/test_technical_alarms.py
    by_the_ward = {"no_signal", "gap", "restart", "two_senders", "input_refused", "state_lost"}
    # tests/unit/worker/test_archive.py, tests/integration/processor/test_supervise.py
    of_the_system = {"store_away", "processor_down"}
    assert told | below | by_the_ward | of_the_system == set(CATALOGUE)


def test_thresholds_are_the_profiles() -> None:
    pause = STEADY * 10 + "N" + " " * 10 + STEADY * 10  # 2.2 s
    assert [r.kind for r in alarms(pause, profile=changed(ADULT, {"pause_s": 2.5}))] == [
        "missed_beat"
    ]
    assert [r.kind for r in alarms(pause, profile=changed(ADULT, {"off": ["pause"]}))] == []
    long = STEADY * 10 + "N" + " " * 29 + STEADY * 10  # 6 s
    assert [
        r.kind for r in alarms(long, profile=changed(ADULT, {"asystole_s": 8, "off": ["pause"]}))
    ] == []


def test_a_rate_on_its_limit_alarms_once() -> None:
    """120.5 and 119.5 bpm in turn for two minutes."""
    meter, engine = VitalsMeter(), AlarmEngine()
    assert meter.open("p", 250.0) == engine.open("p", 250.0) == 0
    steps = []
    for item in seconds("N  N" + "  " * 200, ""):
        signs = meter.push([item])[0]._replace(hr_bpm=120.0 + (0.5 if item.second.k % 2 else -0.5))
        steps += [s for s in engine.push(([item], [signs], [[]])) if s.kind == "hr_high"]
    assert [s.step for s in steps] == ["onset"]


def test_a_value_is_told_again_while_it_grows() -> None:
    meter, engine = VitalsMeter(), AlarmEngine()
    assert meter.open("p", 250.0) == engine.open("p", 250.0) == 0
    steps = []
    for item in seconds(STEADY * 10 + "N" + " " * 120, ""):
        steps += [
            s for s in engine.push(([item], meter.push([item]), [[]])) if s.kind == "asystole"
        ]
    assert [(s.step, round(s.alarm.value or 0)) for s in steps[:3]] == [
        ("onset", 5),
        ("update", 10),
        ("update", 15),
    ]
    assert all(s.alarm.onset == steps[0].alarm.onset for s in steps)


def test_the_device_reports_battery_and_faults() -> None:
    meter, engine = VitalsMeter(), AlarmEngine()
    assert meter.open("p", 250.0) == engine.open("p", 250.0) == 0
    said = []
    for item in seconds(STEADY * 20, ""):
        engine.device(
            0, 0.05 if 5 <= item.second.k < 9 else 0.8, "electronics" if item.second.k == 12 else ""
        )
        said += [(s.kind, s.step) for s in engine.push(([item], meter.push([item]), [[]]))]
    assert said == [
        ("battery", "onset"),
        ("battery", "end"),
        ("device", "onset"),
        ("device", "end"),
    ]
