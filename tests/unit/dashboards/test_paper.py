"""ECG on paper: true millimetres, true samples, nothing that could break the page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.paper import MARGIN_MM, UNIT, millivolts, strip_svg
from ingest.packing import MISSING

SVG = "{http://www.w3.org/2000/svg}"


def trace(svg: str) -> list[list[tuple[int, int]]]:
    """The points of the trace, a list per stretch, in hundredths of a millimetre from the grid's
    top left."""
    inner = ET.fromstring(svg).find(f"{SVG}svg")
    assert inner is not None
    path = inner.find(f"{SVG}path")
    assert path is not None
    stretches = []
    for part in path.attrib["d"].split("M")[1:]:
        first, *steps = re.split("[lh]", part)
        x, y = map(int, first.split())
        points = [(x, y)]
        for step in steps:
            if " " in step:
                dx, dy = map(int, step.split())
                points.append((points[-1][0] + dx, points[-1][1] + dy))
        stretches.append(points)
    return stretches


def test_a_pulse_of_1_mv_and_1_s_measures_10_by_25_mm() -> None:
    mv = np.r_[np.zeros(250), np.ones(250), np.zeros(250)]
    svg = strip_svg(mv, 250.0)
    ((*points,),) = trace(svg)
    assert points[250][0] - points[0][0] == 25 * UNIT
    assert points[500][0] - points[250][0] == 25 * UNIT
    assert points[0][1] - points[250][1] == 10 * UNIT
    root = ET.fromstring(svg)
    assert root.attrib["width"] == f"{MARGIN_MM + 75}mm"
    # a unit is a hundredth of a millimetre
    assert root.attrib["viewBox"].split()[2] == str((MARGIN_MM + 75) * UNIT)
    assert root.attrib["height"] == f"{int(root.attrib['viewBox'].split()[3]) / UNIT:g}mm"


def test_speed_and_gain_scale_and_are_printed() -> None:
    svg = strip_svg(np.r_[np.zeros(250), np.ones(250)], 250.0, speed_mm_s=50.0, gain_mm_mv=20.0)
    ((*points,),) = trace(svg)
    assert (points[250][0], points[0][1] - points[250][1]) == (50 * UNIT, 20 * UNIT)
    assert "50 mm/s · 20 mm/mV" in svg
    assert "25 mm/s · 10 mm/mV" in strip_svg(np.zeros(10), 250.0)


def test_what_is_missing_is_not_drawn() -> None:
    counts = np.array([0, 10, MISSING, MISSING, 20, MISSING, 5], np.int16)
    stretches = trace(strip_svg(millivolts(counts, 10.0), 100.0))
    assert [len(points) for points in stretches] == [2, 1, 1]
    assert [points[0][0] for points in stretches] == [0, 100, 150]


def test_the_calibration_pulse_is_1_mv() -> None:
    paths = [
        p.attrib["d"] for p in ET.fromstring(strip_svg(np.zeros(100), 100.0)).iter(f"{SVG}path")
    ]
    assert any(re.fullmatch(r"M0 \d+h250v-1000h500v1000h250", d) for d in paths)


def test_marks_stand_at_their_time() -> None:
    svg = strip_svg(
        np.zeros(500),
        250.0,
        marks=[(1.0, "V", "orange")],
        marks_below=[(1.5, "N", "green")],
        span=(0.5, 99.0),
    )
    texts = {t.text: t.attrib for t in ET.fromstring(svg).iter(f"{SVG}text")}
    assert int(texts["V"]["x"]) == (MARGIN_MM + 25) * UNIT
    assert int(texts["N"]["x"]) == round((MARGIN_MM + 37.5) * UNIT)
    assert int(texts["V"]["y"]) < int(texts["N"]["y"])
    shade = next(r for r in ET.fromstring(svg).iter(f"{SVG}rect") if "fill-opacity" in r.attrib)
    # to the edge
    assert (int(shade.attrib["x"]), int(shade.attrib["width"])) == (
        round((MARGIN_MM + 12.5) * UNIT),
        round(37.5 * UNIT),
    )


@given(st.text(), st.text(), st.text())
def test_any_text_is_harmless(label: str, letter: str, colour: str) -> None:
    root = ET.fromstring(
        strip_svg(np.zeros(20), 100.0, start_label=label, marks=[(0.1, letter, colour)])
    )
    assert {e.tag for e in root.iter()} == {
        f"{SVG}{tag}" for tag in ("svg", "rect", "path", "text")
    }


def test_no_ids_and_no_styles() -> None:
    """Many strips stand in one page, under a strict content-security policy."""
    svg = strip_svg(np.zeros(20), 100.0, marks=[(0.1, "N", "green")], span=(0, 1))
    assert " id=" not in svg
    assert "style" not in svg


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=50))
def test_any_samples_can_be_drawn(values: list[float]) -> None:
    svg = strip_svg(values, 100.0)
    assert sum(map(len, trace(svg))) == np.isfinite(values).sum()
    assert "nan" not in svg


@pytest.mark.parametrize(
    ("mv", "fs_hz", "gain"), [([[1.0]], 100.0, 10.0), ([1.0], 0.0, 10.0), ([1.0], 100.0, -1.0)]
)
def test_what_cannot_be_drawn_is_refused(mv: list[float], fs_hz: float, gain: float) -> None:
    with pytest.raises(ValueError, match="cannot draw"):
        strip_svg(mv, fs_hz, gain_mm_mv=gain)
