"""Files that phone apps share, in their real layouts: rate, unit, and the times that replay and annotate give them."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ecgwatch.annotate import chunks
from ecgwatch.streaming import parse_start
from ingest.replay import check_stream, stream
from ingest.sources.base import Source
from ingest.sources.open import open_source
from tests.made_files import assert_reads, ecg_mv, write_table

WATCH_HZ, STRAP_HZ = 512.0, 130.0
WATCH = ecg_mv(WATCH_HZ, 30)  # the Health app's recordings take 30 s
STRAP = ecg_mv(STRAP_HZ, 30)
ENGLISH = """Name,Ada
Date of Birth,"10 Dec 1985"
Recorded Date,2019-04-07 18:29:43 +0200
Classification,Sinus Rhythm
Symptoms,"Rapid, pounding heartbeat"
Software Version,1.21
Device,"Watch4,2"
Sample Rate,{rate} hertz


Lead,Lead I
Unit,µV

"""
GERMAN = """Name,Ada
Geburtsdatum,10.12.1985
Aufzeichnungsdatum,2021-02-03 07:11:12 +0100
Klassifizierung,Sinusrhythmus
Symptome,
Softwareversion,1.90
Gerät,"Watch6,1"
Messrate,{rate} Hertz


Ableitung,Ableitung I
Einheit,µV

"""
FRENCH = """Nom,Ada
Date de naissance,10 déc. 1985
Date d’enregistrement,2021-02-03 07:11:12 +0100
Classification,Rythme sinusal
Symptômes,
Version du logiciel,1.90
Appareil,"Watch6,1"
Fréquence d’échantillonnage,{rate} hertz


Dérivation,Dérivation I
Unité,µV

"""
PHONE, FACTORY_NS = datetime(2023, 5, 4, 10), 599_616_000_000_000_000


def opened(path: Path) -> Source:
    return open_source(str(path), data=path.parent)


@pytest.mark.parametrize("rate", ["512", "511.899"])
@pytest.mark.parametrize("form", ["{}", "{,}", '"{,}"'])
@pytest.mark.parametrize("head", [ENGLISH, GERMAN, FRENCH])
def test_apple_watch(tmp_path: Path, head: str, form: str, rate: str) -> None:
    """The app says Sample Rate in the phone's language, and writes numbers with its decimal sign."""
    numbers = [f"{v * 1000:.3f}" for v in WATCH]
    if "," in form:
        numbers = [form.replace("{,}", v.replace(".", ",")) for v in numbers]
    source = opened(write_table(tmp_path / "ecg_2019-04-07.csv", head.format(rate=rate), numbers))
    assert source.lead.endswith(" I")
    assert_reads(source, WATCH, float(rate))


@pytest.mark.parametrize("milliseconds", [True, False])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("true_hz", [130.0, 129.6])
def test_polar_sensor_logger(tmp_path: Path, true_hz: float, end: str, milliseconds: bool) -> None:
    """The phone's time stands once for a frame of 73; the strap's is of each sample, from its factory date in
    2019 on, and gives the rate. Older versions have no column of milliseconds."""
    rows = []
    for i, v in enumerate(STRAP):
        arrived = PHONE + timedelta(seconds=(i // 73 * 73 + 73) / true_hz)
        told = f"{i * 1000 / true_hz};" if milliseconds else ""
        sensor_ns = FACTORY_NS + round(i * 1e9 / true_hz)
        rows.append(
            f"{arrived.isoformat(timespec='milliseconds')};{sensor_ns};{told}{v * 1000:.0f}"
        )
    head = "Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV]"
    head = head if milliseconds else head.replace("timestamp [ms];", "")
    path = write_table(tmp_path / "Polar_H10_12345678_20230504_ECG.txt", head, rows, end=end)
    source = opened(path)
    assert source.fs_hz == pytest.approx(true_hz, rel=1e-6)
    assert_reads(source, STRAP, source.fs_hz)


def test_replay_and_annotate_give_the_time_that_they_are_told(tmp_path: Path) -> None:
    """No file's own date is believed (the strap's says 2019): --start-time stamps what is replayed."""
    lines = [f"{v * 1000:.3f}" for v in WATCH]
    source = opened(write_table(tmp_path / "ecg.csv", ENGLISH.format(rate="512"), lines))
    start_ns = parse_start("2019-04-07T18:29:43+02:00")
    assert start_ns == 1_554_654_583 * 10**9
    check_stream(source, "ada", start_ns)
    sent = [item.message for item in stream(source, "ada", start_ns)]
    for found in (sent, list(chunks(source, start_ns))):
        assert found[0].t0_ns == start_ns
        assert {c.fs_hz for c in found} == {WATCH_HZ}
        counts = np.concatenate([np.frombuffer(c.samples, "<i2") for c in found])
        assert len(counts) == len(WATCH)
        assert np.ptp(counts) / found[0].counts_per_mv == pytest.approx(np.ptp(WATCH), abs=0.002)
        last = found[-1]
        end_ns = last.t0_ns + len(last.samples) / 2 / WATCH_HZ * 1e9
        assert end_ns == pytest.approx(start_ns + 30e9, abs=1e6)
