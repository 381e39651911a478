"""The report of a period: each figure against a story whose answer is known, the page, and the
command."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from dashboards.report.beats import LEAST, BeatArrays, gather, hours, longest_interval, variability
from dashboards.report.figures import overview, poincare
from dashboards.report.findings import STRIPS, Findings, find
from dashboards.report.page import lasting, percent, report_html
from dashboards.report.rhythm import ClippedEpisode, episodes, shares
from dashboards.words import RHYTHMS
from ecgwatch.__main__ import app
from ecgwatch.writing import pdf
from ingest.errors import BadInputError
from ingest.messages import JournalEntry
from ingest.packing import MISSING
from stream_processor.sinks.memory import MemorySink
from stream_processor.sinks.sqlite import SqliteSink
from tests.unit.dashboards.monitor_bench import (
    FS,
    NOW,
    S,
    action,
    alarm,
    beat,
    edit,
    ms,
    rhythm,
    storing,
    strip,
    vitals,
    waveform,
)

HOUR = 3600
EVEN = NOW - NOW % (HOUR * S)  # the clock hour that NOW lies in


def story(labels: str, rr_ms: float = 800.0, start_s: float = 0.0) -> BeatArrays:
    """Beats of these labels at an even rate; "." is a gap in the signal."""
    made, at, gap = [], start_s, True
    for label in labels:
        at += rr_ms / 1000
        if label != ".":
            made.append(beat(at, None if gap else rr_ms, label))
        gap = label == "."
    return gather(made)


def found(*events: Any, seconds: float = 60.0) -> Findings:
    sink = MemorySink()
    for event in events:
        sink.add(event)
    sink.flush()
    return find(sink, "p", NOW, NOW + round(seconds * S))


# Rhythm


def test_rhythm_is_clipped_joined_and_never_counted_twice() -> None:
    told = [
        rhythm(-50, 10),
        rhythm(10, 20),
        rhythm(20, 40, "AFIB"),
        rhythm(30, 35, "N"),
        rhythm(35, 90, "~"),
    ]
    spans = [
        (e.label, (e.start_ns - NOW) / S, (e.end_ns - NOW) / S)
        for e in episodes(told, NOW, NOW + 60 * S)
    ]
    assert spans == [("N", 0, 20), ("AFIB", 20, 30), ("N", 30, 35), ("~", 35, 60)]


def test_the_burden_is_of_the_readable_time() -> None:
    told = shares(
        episodes(
            [
                rhythm(0, 30),
                rhythm(30, 35, "AFIB"),
                rhythm(35, 40),
                rhythm(40, 50, "AFIB"),
                rhythm(50, 60, "~"),
            ],
            NOW,
            NOW + 60 * S,
        )
    )
    assert [(s.label, s.seconds, s.part, s.episodes) for s in told] == [
        ("N", 35.0, 0.7, 2),
        ("AFIB", 15.0, 0.3, 2),
        ("~", 10.0, pytest.approx(1 / 6), 1),
    ]
    assert told[1].longest == ClippedEpisode("AFIB", NOW + 40 * S, NOW + 50 * S)


def test_an_episode_that_began_before_the_period_counts() -> None:
    assert [
        (s.label, s.seconds) for s in found(rhythm(-9 * HOUR, 30, "AFIB"), rhythm(30, 60)).shares
    ] == [("AFIB", 30.0), ("N", 30.0)]


# Ectopy


@pytest.mark.parametrize(
    ("labels", "v", "s"),
    [
        ("NNNNN", (0, 0, 0, 0), (0, 0, 0, 0)),
        ("NVNVN", (2, 0, 0, 0), (0, 0, 0, 0)),
        ("NVVNN", (2, 1, 0, 0), (0, 0, 0, 0)),
        ("NVVVN", (3, 0, 1, 3), (0, 0, 0, 0)),
        ("VVVVV", (5, 0, 1, 5), (0, 0, 0, 0)),
        ("VV.VV", (4, 2, 0, 0), (0, 0, 0, 0)),
        ("VVSSSVVVSS", (5, 1, 1, 3), (5, 1, 1, 3)),
        ("SSSSNSSSSSS", (0, 0, 0, 0), (10, 0, 2, 6)),
    ],
)
def test_ectopy_is_counted(labels: str, v: tuple[int, ...], s: tuple[int, ...]) -> None:
    (hour,) = hours(story(labels), NOW, NOW + 60 * S)
    assert (hour.beats, hour[2:6], hour[6:10]) == (len(labels.replace(".", "")), v, s)


def test_hours_are_the_clocks_and_a_run_belongs_to_where_it_began() -> None:
    at_s = (EVEN - NOW) / S + HOUR
    made = [
        beat(at_s - 1.5, None, "N"),
        *(beat(at_s - 1.0 + 0.4 * k, 400.0, "V") for k in range(6)),
    ]
    first, second = hours(gather(made), NOW, NOW + 2 * HOUR * S)
    assert (first.start_ns, second.start_ns) == (NOW, EVEN + HOUR * S)
    assert (first.v, first.v_runs, first.v_longest) == (3, 1, 6)
    assert (second.v, second.v_runs, second.v_longest) == (3, 0, 0)


# Pauses and variability


def test_the_longest_interval_does_not_reach_over_a_gap() -> None:
    assert longest_interval(
        gather([beat(0, None), beat(2.5, 2500.0), beat(100, None), beat(101, 1000.0)]), []
    ) == (NOW, 2500.0)
    assert longest_interval(gather([beat(0, None)]), []) is None
    assert longest_interval(gather([]), []) is None


def test_the_longest_interval_is_none_with_fibrillation_in_it() -> None:
    beats = gather([beat(0, None), beat(1, 1000.0), beat(41, 40_000.0), beat(43, 2000.0)])
    told = episodes([rhythm(0, 1), rhythm(1, 41, "VF"), rhythm(41, 60)], NOW, NOW + 60 * S)
    assert longest_interval(beats, told) == (NOW + 41 * S, 2000.0)


def varied(rr: np.ndarray, labels: str) -> BeatArrays:
    return BeatArrays(NOW + np.cumsum(rr * 1e6).astype(np.int64), rr, np.array(list(labels)))


def test_variability_is_over_normal_intervals_only() -> None:
    rr = np.tile([780.0, 820.0], 50)
    plain = variability(varied(rr, "N" * 100), [])
    assert plain is not None
    assert plain.intervals == 99
    assert plain.sdnn_ms == pytest.approx(np.std(rr[1:], ddof=1))
    assert plain.rmssd_ms == pytest.approx(40.0)
    with_v = rr.copy()
    with_v[40:42] = [450.0, 1150.0]  # a V beat and the pause after it
    ectopic = variability(varied(with_v, "N" * 40 + "V" + "N" * 59), [])
    assert ectopic is not None
    assert ectopic.intervals == 97
    assert ectopic.rmssd_ms == pytest.approx(40.0)
    assert ectopic.sdnn_ms < 21


def test_variability_leaves_out_fibrillation_noise_and_what_is_no_interval() -> None:
    rr = np.concatenate(
        [
            np.tile([780.0, 820.0], 50),
            np.random.default_rng(1).uniform(400, 1200, 100),
            [150.0, 9000.0, np.nan],
        ]
    )
    made = varied(np.nan_to_num(rr, nan=800.0), "N" * 203)._replace(rr_ms=rr)
    af = ClippedEpisode("AFIB", int(made.time_ns[100]), int(made.time_ns[199]) + 1)
    calm = variability(made, [af])
    assert calm is not None
    assert (calm.intervals, calm.rmssd_ms) == (99, pytest.approx(40.0))


def test_too_few_intervals_give_no_variability() -> None:
    assert variability(story("N" * LEAST), []) is None
    assert variability(story("N" * (LEAST + 1)), []) is not None
    assert variability(story(""), []) is None
    assert variability(story("N." * 50), []) is None


# All of it


def test_the_heart_rate_has_its_times() -> None:
    told = found(
        vitals(1, 70.0), vitals(2, 50.0), vitals(3, None), vitals(4, 120.0), vitals(99, 300.0)
    )
    assert (told.monitored_s, told.rated_s) == (4.0, 3.0)
    assert told.heart_rate == (80.0, 50.0, NOW + 2 * S, 120.0, NOW + 4 * S)


def test_strips_are_of_the_worst_alarms_and_the_others_are_counted() -> None:
    low = [alarm(k, "pvc_couplet", priority="low") for k in range(STRIPS + 5)]
    high = alarm(50, "asystole", priority="high", latching=True)
    hidden = alarm(40, "pause", announced=False)
    told = found(*low, high, hidden, *(strip(a, np.arange(2500)) for a in [*low, high, hidden]))
    assert len(told.strips) == STRIPS
    assert told.strips[-1][0] == high
    assert told.strips_left_out == 6
    assert len(told.alarms) == STRIPS + 7


def test_what_the_wearer_felt_stands_beside_the_rhythm_of_that_minute() -> None:
    felt = JournalEntry(
        patient_id="p", time_ns=NOW + 20 * S, id="j", by="h10-1", kind="symptom", text="dizzy <b>"
    )
    later = msgspec.structs.replace(felt, time_ns=NOW + 55 * S, id="k", kind="note", text="better")
    findings = found(rhythm(0, 12, label="N"), rhythm(12, 24, label="AFIB"), felt, later)
    assert [(f.entry.text, f.rhythm) for f in findings.journal] == [
        ("dizzy <b>", ["N", "AFIB"]),
        ("better", []),
    ]
    page = report_html(findings, NOW + 60 * S)
    assert "dizzy &lt;b&gt;" in page
    assert "Sinus rhythm, Atrial fibrillation" in page
    assert not findings.felt_strips  # no signal is stored


def test_the_signal_around_what_was_felt_is_drawn_with_its_gaps() -> None:
    felt = JournalEntry(patient_id="p", time_ns=NOW + 20 * S, id="j", by="h10-1", kind="symptom")
    moved = msgspec.structs.replace(felt, id="k", kind="transferred")
    samples = np.full(round(10 * FS), 50)
    blocks = [waveform(at_s, samples) for at_s in (0, 10, 30)]
    ((_, signal),) = found(*blocks, felt, moved).felt_strips
    missing = signal.samples == MISSING
    fs = round(signal.fs_hz)
    assert signal.samples.size == 20 * fs
    assert signal.start_ns == NOW + 10 * S
    assert not missing[: 10 * fs].any()
    assert missing[10 * fs :].all()  # 20 to 30 s was lost
    page = report_html(found(*blocks, felt, moved), NOW + 60 * S)
    assert "<figcaption>Symptom, " in page
    assert page.count("<figure>") == 1


def test_people_are_named_whenever_they_acted() -> None:
    one = alarm(5)
    years_later = action("acknowledge", 10**8, alarm_id=one.id)
    told = found(one, years_later, action("silence", 30, seconds=60.0), action("resume", 5000))
    assert [a.action for a in told.actions] == ["silence", "acknowledge"]


class Checked(HTMLParser):
    """Every tag is closed, nothing is fetched, nothing runs."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "img", "object", "a")
        for name, value in attrs:
            assert name != "style"
            assert not name.startswith("on")
            assert name not in ("src", "href"), value
        if tag not in ("meta", "rect", "path", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(page: str) -> str:
    """The text of a page that is sound."""
    parser = Checked()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return " ".join(re.sub(r"<[^>]+>", " ", page.split("</style>")[1]).split())


def everything() -> list[Any]:
    af = alarm(20, "atrial_fibrillation", end_ns=NOW + 50 * S, text="ATRIAL FIBRILLATION")
    stop = alarm(
        30,
        "asystole",
        priority="high",
        latching=True,
        end_ns=NOW + 35 * S,
        text="ASYSTOLE 5 s",
        acknowledged_ns=NOW + 40 * S,
        acknowledged_by="Anna",
        step="acknowledged",
    )
    beats = [beat(k * 0.8, 800.0 + 20 * (k % 2), "V" if k in (30, 31) else "N") for k in range(70)]
    said = edit(beats[30], "relabelled", 100, label="F", note="fusion?")
    reviewed = msgspec.structs.replace(
        said,
        id="e2",
        target="alarm",
        target_id=af.id,
        said="atrial_fibrillation",
        verdict="rejected",
        label="",
    )
    x = np.round(200 * np.sin(np.arange(5000) / 40)).astype(np.int16)
    rest = [
        rhythm(0, 20),
        rhythm(20, 50, "AFIB"),
        rhythm(50, 60, "~"),
        action("acknowledge", 40, alarm_id=stop.id, note="patient fine"),
    ]
    return [
        *beats,
        *(vitals(k, 70.0 + k % 7) for k in range(60)),
        af,
        stop,
        strip(af, x),
        strip(stop, x),
        said,
        reviewed,
        *rest,
    ]


TOLD = (
    "Not a medical device",
    "2023-11-14 22:13:20 to 2023-11-14 22:14:20 (UTC)",
    "70 beats",
    "Heart rate, mean 73 /min",
    "Lowest 70 /min 2023-11-14 22:13:20",
    "Highest 76 /min",
    "AF burden 60.0 % of the readable time; longest episode 30.0 s",
    "Longest RR interval 0.82 s",
    "too few N-N intervals",
    "Sinus rhythm 20.0 s 40.0 %",
    "Unreadable 10.0 s 16.7 % of all",
    "*** ASYSTOLE 5 s 5.0 s Anna, 2023-11-14 22:14:00",
    "** ATRIAL FIBRILLATION 30.0 s rejected (Anna)",
    "ASYSTOLE 5 s, 2023-11-14 22:13:50",
    "Anna acknowledge ASYSTOLE 5 s, 2023-11-14 22:13:50 patient fine",
    "10.1161/01.CIR.93.5.1043",
    "beat 2023-11-14 22:13:44 V relabelled as F Anna, 2023-11-14 22:15:00 fusion?",
)


def test_the_page_tells_it_all() -> None:
    page = report_html(found(*everything()), NOW)
    text = checked(page)
    widths = [float(width) for width in re.findall(r'<svg xmlns[^>]* width="([\d.]+)mm"', page)]
    assert len(widths) == 2 * 3, "two strips of 20 s"
    assert max(widths) <= 186, "wider than the paper"
    for told in TOLD:
        assert told in text, told


def test_nothing_at_all_is_a_page_too() -> None:
    text = checked(report_html(found(), NOW))
    assert "AF burden unknown" in text
    assert "No rhythm is stored" in text


def test_what_people_and_devices_write_is_only_text() -> None:
    evil = '</style><script>alert(1)</script><img src=x onerror="x">'
    sink = MemorySink()
    for event in everything():
        changes = {"patient_id": evil}
        for name in ("by", "note", "acknowledged_by", "text", "label"):
            if (
                isinstance(getattr(event, name, None), str)
                and not (name == "label" and hasattr(event, "rr_ms"))
                and not hasattr(event, "start_sample")
            ):
                changes[name] = evil
        sink.add(msgspec.structs.replace(event, **changes))
    sink.flush()
    checked(report_html(find(sink, evil, NOW, NOW + 60 * S), NOW))


def test_it_is_served_with_a_policy_that_allows_its_style_only(tmp_path: Path) -> None:
    with storing(tmp_path, *everything()) as bench:
        answer = bench.get("report", from_=ms(0), to=ms(60))
    checked(answer.text)
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[\w+/=]{44}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        answer.headers["content-security-policy"],
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (4.25, "4.2 s"),
        (59.94, "59.9 s"),
        (61, "1 min 01 s"),
        (3599, "59 min 59 s"),
        (7500, "2 h 05 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


def test_a_little_is_never_nothing() -> None:
    assert [percent(p) for p in (0.0, 0.0001, 0.0005, 0.333, 1.0)] == [
        "0.0 %",
        "< 0.1 %",
        "0.1 %",
        "33.3 %",
        "100.0 %",
    ]


# The command


def run(tmp_path: Path, *arguments: str) -> Any:
    path = tmp_path / "events.db"
    if not path.exists():
        sink = SqliteSink(path)
        for event in everything():
            sink.add(event)
        sink.flush()
        sink.close()
    return CliRunner().invoke(app, ["report", *arguments, "--sink", f"sqlite:{path}"])


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    ran = run(
        tmp_path,
        "p",
        "--from",
        "2023-11-14T22:13:20",
        "--to",
        "2023-11-14T22:14:20",
        "--out",
        str(out),
    )
    assert ran.exit_code == 0, ran.exception
    assert "70 beats, 2 alarms, 2 strips" in ran.output.replace("\n", "")
    assert "ASYSTOLE" in checked(out.read_text())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("p", "--from", "2023-11-14", "--to", "2023-11-14", "--out", "x"), "is not before"),
        (("p", "--from", "yesterday", "--to", "2023-11-14", "--out", "x"), "--from yesterday"),
        (
            ("q", "--from", "2023-11-14", "--to", "2023-11-15", "--out", "x"),
            "nothing is stored of 'q'",
        ),
        (
            ("p", "--from", "2023-11-14", "--to", "2023-11-15", "--out", "/nowhere/x/r.html"),
            "cannot write",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    ran = run(tmp_path, *arguments)
    assert said in str(ran.exception)


def test_no_store_yet(tmp_path: Path) -> None:
    ran = CliRunner().invoke(
        app,
        [
            "report",
            "p",
            "--from",
            "2023-11-14",
            "--to",
            "2023-11-15",
            "--out",
            "x",
            "--sink",
            f"sqlite:{tmp_path}/none.db",
        ],
    )
    assert "no events yet" in str(ran.exception)
    assert not (tmp_path / "none.db").exists()


def test_figures_of_heart_rate_rhythm_and_successive_intervals() -> None:
    rr = np.where(np.arange(120) % 2, 1000.0, 500.0)
    beats = BeatArrays(np.cumsum(rr * 1e6).astype(np.int64), rr, np.full(120, "N"))
    end_ns = 100 * S
    rhythm = [ClippedEpisode("AFIB", 0, 50 * S), ClippedEpisode("~", 50 * S, end_ns)]
    drawn = overview(beats, rhythm, 0, end_ns)
    assert drawn.count("<rect") == 2
    assert RHYTHMS["AFIB"].full in drawn
    heights = [float(y) for y in re.findall(r" ([\d.]+)V[\d.]+\" stroke=\"#b9d8c4", drawn)]
    assert len(heights) > 50
    assert poincare(beats).count("<circle") == 118
    few = BeatArrays(beats.time_ns[:10], rr[:10], beats.label[:10])
    assert poincare(few) == ""
    nothing = BeatArrays(beats.time_ns[:0], rr[:0], beats.label[:0])
    assert overview(nothing, [], 0, end_ns) == ""


def test_a_pdf_is_printed_or_the_missing_browser_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf, "BROWSERS", ("no-such-browser",))
    with pytest.raises(BadInputError, match="no-such-browser"):
        pdf.print_pdf("<p>x", tmp_path / "x.pdf")


@pytest.mark.slow
@pytest.mark.skipif(
    not any(shutil.which(name) for name in pdf.BROWSERS), reason="no Chromium is installed"
)
def test_a_page_becomes_a_pdf(tmp_path: Path) -> None:
    pdf.print_pdf("<!doctype html><p>Bed 5", tmp_path / "x.pdf")
    assert (tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")
