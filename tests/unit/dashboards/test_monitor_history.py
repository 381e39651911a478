"""What is stored, as the API gives it: real SQLite, times at the edges, bounds, and a store that is
away."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dashboards.monitor.store.questions import MOST
from dashboards.monitor.store.waveforms import WaveformBlock, decode_blocks, encode_block, envelope
from ingest.messages import sample_offset_ns
from ingest.packing import MISSING
from stream_processor.sinks.base import SinkBusyError
from stream_processor.sinks.memory import MemorySink
from tests.unit.dashboards.monitor_bench import (
    NOW,
    S,
    alarm,
    beat,
    finding,
    ms,
    rhythm,
    running,
    storing,
    strip,
    vitals,
    waveform,
)

RAMP = np.arange(2500, dtype=np.int16)
OF_A_PERIOD = [
    "alarms",
    "rhythm",
    "beats",
    "trend",
    "waveform",
    "waveform?points=100",
    "actions",
    "edits",
    "findings",
    "report",
]


def got(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


# What added tasks say


def test_findings_of_a_period_in_order_of_their_ends(tmp_path: Path) -> None:
    told = [
        finding(0, 30, "N"),
        finding(40, 60, task="apnoea", label="yes"),
        finding(0, 90, "N"),
        finding(90, 120),
    ]
    with storing(tmp_path, *told) as bench:
        found = got(bench.get("findings", from_=ms(30), to=ms(120)))["findings"]
    assert [(f["task"], f["label"], f["start"], f["end"]) for f in found] == [
        ("flutter", "N", ms(0), ms(30)),
        ("apnoea", "yes", ms(40), ms(60)),
        ("flutter", "N", ms(0), ms(90)),
    ]
    assert (found[0]["probability"], found[0]["model"]) == (0.9, "2")


# The signal


def test_the_signal_comes_as_it_was_sampled_and_cut_to_the_period(tmp_path: Path) -> None:
    with storing(tmp_path, waveform(0, RAMP), waveform(10, RAMP + 2500)) as bench:
        data = bench.get("waveform", from_=ms(9.5), to=ms(11)).content
    (first, early), (second, late) = decode_blocks(data)
    assert first == {"t0": ms(9.5), "fs": 250.0, "counts_per_mv": 200.0, "n": 125}
    assert early.tolist() == list(range(2375, 2500))
    assert second["t0"] == ms(10)
    assert late.tolist() == list(range(2500, 2750))


def test_a_period_without_signal_has_no_blocks(tmp_path: Path) -> None:
    with storing(tmp_path, waveform(0, RAMP)) as bench:
        assert bench.get("waveform", from_=ms(20), to=ms(30)).content == b""
        assert bench.get("waveform", from_=ms(20), to=ms(30), points=10).content == b""


def test_the_envelope_holds_every_peak_and_says_what_is_missing(tmp_path: Path) -> None:
    x = np.zeros(2500, np.int16)
    x[1000], x[1300], x[1999] = 900, -700, 55
    x[2000:2250] = MISSING
    with storing(tmp_path, waveform(0, x), waveform(20, x)) as bench:
        ((header, pairs),) = decode_blocks(
            bench.get("waveform", from_=ms(0), to=ms(30), points=30).content
        )
    assert header == {
        "t0": ms(0),
        "dt_ms": 1000.0,
        "counts_per_mv": 200.0,
        "n": 30,
        "envelope": True,
    }
    wanted = [[0, 0]] * 30
    wanted[4], wanted[5], wanted[7], wanted[8] = [0, 900], [-700, 0], [0, 55], [MISSING, MISSING]
    wanted[10:20] = [[MISSING, MISSING]] * 10
    wanted[20:30] = wanted[0:10]
    assert pairs.tolist() == wanted


def test_a_narrow_envelope_is_the_samples_themselves(tmp_path: Path) -> None:
    with storing(tmp_path, waveform(0, RAMP)) as bench:
        ((header, samples),) = decode_blocks(
            bench.get("waveform", from_=ms(0), to=ms(1), points=1000).content
        )
    assert "envelope" not in header
    assert samples.tolist() == list(range(250))


def test_devices_of_another_scale_share_one_envelope(tmp_path: Path) -> None:
    x = np.full(2500, 100)
    with storing(tmp_path, waveform(0, x), waveform(10, x, counts_per_mv=1000.0)) as bench:
        ((header, pairs),) = decode_blocks(
            bench.get("waveform", from_=ms(0), to=ms(20), points=2).content
        )
    assert (header["counts_per_mv"], pairs.tolist()) == (200.0, [[100, 100], [20, 20]])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 300)), min_size=1, max_size=4),
    st.sampled_from([100.0, 250.0, 360.0]),
    st.integers(1, 60),
    st.floats(0, 3),
    st.integers(0, 2**32 - 1),
)
@example([(30, 21), (10, 40)], 100.0, 56, 0.0, 0)  # many samples on edges
def test_an_envelope_is_what_a_loop_over_the_samples_finds(
    runs: list[tuple[int, int]], fs: float, columns: int, start_s: float, seed: int
) -> None:
    sink, start_ns, rng = MemorySink(), NOW + round(start_s * S), np.random.default_rng(seed)
    end_ns, first, width = start_ns + 4 * S, 0, 4 * S / columns
    inside: dict[int, list[int]] = {}  # of each column
    # a sample within two nanoseconds of an edge may be told on either side
    at_edges: dict[int, list[int]] = {}
    for gap, n in runs:
        first += gap
        x = rng.integers(-32767, 32768, n).astype(np.int16)
        x[rng.random(n) < 0.1] = MISSING
        sink.add(waveform(first / fs, x, fs))
        for i, value in enumerate(x.tolist()):
            after = NOW + sample_offset_ns(first, fs) + round(i * 1e9 / fs) - start_ns
            if 0 <= after < 4 * S and value != MISSING:
                either = {min(max(int((after + d) // width), 0), columns - 1) for d in (-2, 2)}
                for column in either:
                    (inside if len(either) == 1 else at_edges).setdefault(column, []).append(value)
        first += n
    sink.flush()
    found = list(decode_blocks(envelope(sink, "p", start_ns, end_ns, columns)))
    assert len(found) <= 1
    low, high = ({k: pick(v) for k, v in inside.items()} for pick in (min, max))
    for _, pairs in found:
        for k, (lowest, highest) in enumerate(pairs.tolist()):
            sure, perhaps = inside.get(k, []), at_edges.get(k, [])
            assert {lowest, highest} <= {*sure, *perhaps} or (lowest, highest, sure) == (
                MISSING,
                MISSING,
                [],
            )
            assert not sure or (lowest <= low[k] and highest >= high[k])
        everything = [v for some in (inside, at_edges) for values in some.values() for v in values]
        values = [v for pair in pairs.tolist() for v in pair if v != MISSING]
        assert (min(values, default=0), max(values, default=0)) == (
            min(everything, default=0),
            max(everything, default=0),
        )


def test_a_block_is_read_back() -> None:
    ((header, x),) = decode_blocks(encode_block(WaveformBlock(NOW, 360.0, 200.0, RAMP)))
    assert header == {"t0": ms(0), "fs": 360.0, "counts_per_mv": 200.0, "n": 2500}
    assert np.array_equal(x, RAMP)


def test_the_strip_of_an_alarm(tmp_path: Path) -> None:
    first, second = alarm(20), alarm(20, "svt")
    with storing(tmp_path, strip(first, RAMP), strip(second, -RAMP)) as bench:
        ((header, x),) = decode_blocks(bench.get("strip", alarm=second.id).content)
        assert (header["t0"], x.tolist()) == (ms(10), (-RAMP).tolist())
        missing = bench.get("strip", alarm=alarm(21).id)
        assert (missing.status_code, missing.content) == (200, b"")
        for bad in ("", "x", "p:pause:", "p:pause:-5", "p:pause:" + "9" * 40):
            assert bench.get("strip", alarm=bad).status_code in (400, 404), bad


# What was found in it


def test_beats_carry_what_an_edit_needs(tmp_path: Path) -> None:
    with storing(tmp_path, beat(0), beat(0.8, 812.5, "V"), beat(5)) as bench:
        beats = got(bench.get("beats", from_=ms(0.5), to=ms(5)))["beats"]
    assert beats == [
        {
            "id": str(NOW + 800_000_000),
            "t": ms(0.8),
            "label": "V",
            "rr": 812.5,
            "confidence": 0.99,
            "probability": 0.9,
        }
    ]


def test_rhythm_that_began_long_before_is_told(tmp_path: Path) -> None:
    day = 86400
    with storing(
        tmp_path,
        rhythm(-9 * day, -8 * day, "AFIB"),
        rhythm(-8 * day, 50, "N"),
        rhythm(50, 70, "VT"),
    ) as bench:
        episodes = got(bench.get("rhythm", from_=ms(0), to=ms(60)))["episodes"]
    assert [(e["start"], e["end"], e["label"]) for e in episodes] == [
        (ms(-8 * day), ms(50), "N"),
        (ms(50), ms(70), "VT"),
    ]


def test_trends_are_bounded_and_leave_unknown_columns_empty(tmp_path: Path) -> None:
    seconds = [vitals(k, 60.0 + k) for k in range(10)] + [
        vitals(10 + k, None, rmssd_ms=None, quality=0.5) for k in range(10)
    ]
    with storing(tmp_path, *seconds) as bench:
        trend = got(bench.get("trend", from_=ms(0), to=ms(30), points=3))
        fine = got(bench.get("trend", from_=ms(0), to=ms(30)))
    assert trend == {
        "t": [ms(0), ms(10), ms(20)],
        "hr": [64.5, None, None],
        "hr_min": [60.0, None, None],
        "hr_max": [69.0, None, None],
        "quality": [1.0, 0.5, None],
        "rmssd": [30.0, None, None],
    }
    assert {len(column) for column in fine.values()} == {15}, (
        "columns narrower than two seconds would be full of holes"
    )


def test_alarms_of_a_period_or_of_the_last_hours_newest_first(tmp_path: Path) -> None:
    late = alarm(30, announced=False)
    with storing(tmp_path, alarm(-7200), alarm(10, end_ns=NOW + 15 * S), late) as bench:
        found = got(bench.get("alarms", from_=ms(0), to=ms(60)))["alarms"]
        assert [(a["onset"], a["standing"], a["over"]) for a in found] == [
            (ms(30), False, False),
            (ms(10), False, True),
        ]
        bench.clock.advance(60)
        assert len(got(bench.get("alarms"))["alarms"]) == 3
        assert len(got(bench.get("alarms", hours=1))["alarms"]) == 2


# Bounds


@pytest.mark.parametrize("what", OF_A_PERIOD)
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"from_": ms(1), "to": ms(1)}, "before"),
        ({"from_": ms(2), "to": ms(1)}, "before"),
        ({"from_": ms(0)}, "to is missing"),
        ({"to": ms(0)}, "from is missing"),
        ({"from_": "nan", "to": ms(1)}, "from must be milliseconds"),
        ({"from_": 0, "to": "inf"}, "to must be milliseconds"),
        ({"from_": -1, "to": 5}, "from must be milliseconds"),
        ({"from_": "1e3 ", "to": "٣"}, "milliseconds"),
        ({"from_": 0, "to": 1e30}, "to must be milliseconds"),
        ({"from_": ms(0), "to": ms(400 * 86400)}, "shorter"),
    ],
)
def test_periods_that_are_none_are_refused_with_the_reason(
    what: str, query: dict[str, Any], said: str
) -> None:
    path, _, points = what.partition("?points=")
    with running() as bench:
        answer = bench.get(path, **query, **({"points": points} if points else {}))
    assert answer.status_code == 400
    assert said in answer.json()["problem"] + answer.json()["remedy"]


@pytest.mark.parametrize(
    ("what", "hours"),
    [("beats", 1), ("waveform", 1), ("trend", 24), ("waveform?points=9", 24), ("report", 168)],
)
def test_each_period_has_its_longest(what: str, hours: int) -> None:
    path, _, points = what.partition("?points=")
    more = {"points": points} if points else {}
    with running() as bench:
        assert bench.get(path, from_=ms(0), to=ms(hours * 3600), **more).status_code == 200
        assert bench.get(path, from_=ms(0), to=ms(hours * 3600 + 1), **more).status_code == 400


@pytest.mark.parametrize("points", ["0", "4001", "-1", "x", ""])
@pytest.mark.parametrize("what", ["waveform", "trend"])
def test_columns_have_bounds(what: str, points: str) -> None:
    with running() as bench:
        assert bench.get(what, from_=ms(0), to=ms(60), points=points).status_code == 400


def test_a_list_that_would_be_cut_is_refused() -> None:
    sink = MemorySink()
    for k in range(MOST + 1):
        sink.add(rhythm(k, k + 1))
    sink.flush()
    with running(lambda: sink) as bench:
        answer = bench.get("rhythm", from_=ms(0), to=ms(MOST + 2))
        assert (answer.status_code, answer.json()["remedy"]) == (400, "Ask for a shorter period.")
        assert len(got(bench.get("rhythm", from_=ms(0), to=ms(MOST)))["episodes"]) == MOST


# limits are known without the store: the processor tells them
@pytest.mark.parametrize("what", [*OF_A_PERIOD, f"strip?alarm={alarm().id}"])
def test_a_store_that_is_away_is_said_with_the_remedy(what: str) -> None:
    def away() -> MemorySink:
        raise SinkBusyError("no such database")

    path, _, query = what.partition("?")
    with running(away) as bench:
        more = {} if path == "strip" else {"from": ms(0), "to": ms(60)}
        answer = bench.client.get(
            f"/api/patients/p/{path}?{query}",
            params=more | dict([query.split("=")] if query else []),
        )
    assert answer.status_code == 503
    assert "no such database" in answer.json()["problem"]
    assert "ecgwatch check" in answer.json()["remedy"]


def test_patients_of_any_name(tmp_path: Path) -> None:
    name = "Ward 3/Bed 1 äöü? #"
    with storing(tmp_path, msgspec.structs.replace(beat(1), patient_id=name)) as bench:
        path = f"/api/patients/{quote(name, safe='')}/beats"
        assert len(got(bench.client.get(path, params={"from": ms(0), "to": ms(9)}))["beats"]) == 1
