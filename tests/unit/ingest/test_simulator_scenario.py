"""Scenario files: the shipped ones load, and whatever is wrong is refused by its name."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from ingest.errors import BadInputError
from ingest.simulator.scenario import load, parse, shipped

GOOD = '[[segments]]\nrhythm = "sinus"\nduration_s = 10\n'


def test_shipped_scenarios_load_and_show_something_within_a_minute() -> None:
    expected = {
        "normal",
        "bradycardia",
        "tachycardia",
        "afib",
        "pvcs",
        "vt",
        "vf",
        "asystole",
        "svt",
        "paced",
        "noisy",
    }
    assert expected <= set(shipped())
    for name in shipped():
        scenario = load(name)
        assert scenario.name == name
        assert scenario.description
        assert scenario.loop
        assert scenario.segments[0].duration_s <= 60 or name in ("normal", "paced")


def test_a_file_is_named_after_itself_unless_it_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("seed = 5\n" + GOOD)
    assert (load(path).name, load(str(path)).seed) == ("mine", 5)
    path.write_text('name = "other"\n' + GOOD)
    assert load(path).name == "other"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", ["top level", "'segments'", "missing"]),
        ("segments = []", ["'segments'", "at least 1"]),
        ("colour = 1\n" + GOOD, ["top level", "'colour'", "unknown key", "seed"]),
        ("fs_hz = 50\n" + GOOD, ["'fs_hz'", "100", "50"]),
        ("seed = -1\n" + GOOD, ["'seed'"]),
        ("counts_per_mv = nan\n" + GOOD, ["'counts_per_mv'"]),
        ("[patient]\nr_mv = 9\n" + GOOD, ["[patient]", "'r_mv'", "9"]),
        ("[patient]\nheight = 9\n" + GOOD, ["[patient]", "'height'", "unknown key", "r_mv"]),
        ("[noise]\nmains_hz = 55\n" + GOOD, ["[noise]", "'mains_hz'", "50", "60"]),
        (GOOD + "rate = 400\n", ["segment 1 (sinus)", "'rate'", "400", "220"]),
        (GOOD + "rate = 'fast'\n", ["segment 1 (sinus)", "'rate'", "number"]),
        (GOOD + "beats = 4\n", ["segment 1 (sinus)", "'beats'", "unknown key", "nsvt_beats"]),
        (
            GOOD + "noise = { hum = 1 }\n",
            ["segment 1 (sinus), noise", "'hum'", "unknown key", "mains_mv"],
        ),
        (GOOD + '[[segments]]\nrhythm = "vt"\n', ["segment 2 (vt)", "'duration_s'", "missing"]),
        (
            GOOD + '[[segments]]\nrhythm = "vt"\nduration_s = 0\n',
            ["segment 2 (vt)", "'duration_s'", "greater than"],
        ),
        (
            GOOD + '[[segments]]\nrhythm = "tachycardia"\nduration_s = 9\nrate = 80\n',
            ["segment 2 (tachycardia)", "'rate'", "80"],
        ),
        (
            GOOD + '[[segments]]\nrhythm = "waltz"\nduration_s = 9\n',
            ["segment 2 (waltz)", "'rhythm'", "no rhythm is called", "afib"],
        ),
        (GOOD + "[[segments]]\nduration_s = 9\n", ["segment 2", "'rhythm'", "missing", "afib"]),
        (GOOD + "[[segments]]\nrhythm = 3\nduration_s = 9\n", ["segment 2", "'rhythm'", "afib"]),
        ("segments = [3]", ["segment 1", "afib"]),
        ("segments = 3", ["'segments'"]),
        ("patient = 3\n" + GOOD, ["'patient'"]),
        ("seed = = 3", ["not TOML", "line 1"]),
    ],
)
def test_what_is_wrong_is_refused_by_file_place_and_key(
    tmp_path: Path, text: str, named: list[str]
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(BadInputError) as caught:
        load(path)
    said = f"{caught.value.problem}\n{caught.value.remedy}"
    assert [part for part in [str(path), *named] if part not in said] == []
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["no-such-scenario", "folder/none.toml"])
def test_a_missing_file_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(BadInputError, match="afib") as caught:
        load(name)
    assert name in caught.value.problem


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInputError, match=r"bad\.toml"):
        load(path)


def test_a_scenario_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError):
        load("normal").seed = 3  # type: ignore[misc]


def test_a_segment_overrides_only_the_noise_it_names() -> None:
    data = {
        "noise": {"muscle_mv": 0.1},
        "segments": [{"rhythm": "sinus", "duration_s": 1, "noise": {"wander_mv": 0.5}}],
    }
    scenario = parse(data, "x.toml")
    noise = scenario.noise_in(scenario.segments[0])
    assert (noise.muscle_mv, noise.wander_mv) == (0.1, 0.5)
