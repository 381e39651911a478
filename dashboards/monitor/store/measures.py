"""Questions about measures of a period: burden of atrial fibrillation, spectrum of the intervals,
and the average beat with its marks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dashboards.measures.average import BEFORE_S, Floats
from dashboards.measures.burden import burden
from dashboards.measures.intervals import AverageBeat, measure
from dashboards.measures.spectrum import FREQUENCIES_HZ, HF_HZ, LF_HZ, Spectrum, spectrum
from dashboards.monitor.live.views import View, ms
from dashboards.monitor.store.waveforms import blocks
from dashboards.report.beats import BeatArrays, gather, normal_intervals
from dashboards.report.rhythm import episodes, reaching_into
from ingest.messages import Beat
from ingest.packing import MISSING
from stream_processor.sinks.base import Sink

AVERAGED_NS = 90 * 10**9  # of the period's end, whose beats are averaged


def af_burden(sink: Sink, patient: str, start_ns: int, end_ns: int, offset_ns: int) -> View:
    """{"days"}: AF's share of each day's readable time."""
    found = episodes(reaching_into(sink, patient, start_ns, end_ns), start_ns, end_ns)
    return {
        "days": [
            {
                "start": ms(day.start_ns),
                "readable_s": day.readable_s,
                "af_s": day.af_s,
                "longest_s": day.longest_s,
                "share": day.share,
            }
            for day in burden(found, start_ns, end_ns, offset_ns)
        ]
    }


def measures(sink: Sink, patient: str, start_ns: int, end_ns: int) -> View:
    """{"spectrum", "beat"}; null if there is too little for one."""
    beats = gather(sink.read(Beat, patient, start_ns, end_ns))
    rhythm = episodes(reaching_into(sink, patient, start_ns, end_ns), start_ns, end_ns)
    normal = normal_intervals(beats, rhythm)
    found = spectrum((beats.time_ns[normal] - start_ns) / 1e9, beats.rr_ms[normal])
    average = _average(sink, patient, beats, max(start_ns, end_ns - AVERAGED_NS), end_ns)
    return {
        "spectrum": None if found is None else _spectrum_view(found),
        "beat": None if average is None else _beat_view(average),
    }


def _average(
    sink: Sink, patient: str, beats: BeatArrays, start_ns: int, end_ns: int
) -> AverageBeat | None:
    """The average of the newest normal beats."""
    signal, fs_hz = _signal(sink, patient, start_ns, end_ns)
    kept = (beats.label == "N") & (beats.time_ns >= start_ns)
    rr = beats.rr_ms[kept & np.isfinite(beats.rr_ms)]
    if not signal.size or not rr.size:
        return None
    peaks = np.round((beats.time_ns[kept] - start_ns) / 1e9 * fs_hz).astype(int)
    return measure(signal, peaks.tolist(), fs_hz, float(rr.mean()))


def _signal(sink: Sink, patient: str, start_ns: int, end_ns: int) -> tuple[Floats, float]:
    """(mV, NaN where none is stored; its rate) of the newest stream in the period."""
    stored = list(blocks(sink, patient, start_ns, end_ns))
    if not stored:
        return np.empty(0), math.nan
    fs_hz = stored[-1].fs_hz
    whole = np.full(math.ceil((end_ns - start_ns) / 1e9 * fs_hz) + 1, np.nan)
    for block in stored:
        if block.fs_hz != fs_hz:
            continue
        first = round((block.start_ns - start_ns) / 1e9 * fs_hz)
        mv = np.where(block.samples == MISSING, np.nan, block.samples / block.counts_per_mv)[
            : whole.size - first
        ]
        whole[first : first + mv.size] = mv
    return whole, fs_hz


def _spectrum_view(found: Spectrum) -> dict[str, Any]:
    return {
        "lf_ms2": found.lf_ms2,
        "hf_ms2": found.hf_ms2,
        "ratio": found.ratio,
        "lf_hz": LF_HZ,
        "hf_hz": HF_HZ,
        "stretches": found.stretches,
        "intervals": found.intervals,
        "frequency": FREQUENCIES_HZ.tolist(),
        "density": found.density.tolist(),
    }


def _beat_view(found: AverageBeat) -> dict[str, Any]:
    return {
        "mv": np.round(found.beat, 4).tolist(),
        "fs": found.fs_hz,
        "r": round(BEFORE_S * found.fs_hz),
        "beats": found.beats,
        "rr": found.rr_ms,
        "marks": found.marks._asdict(),
        "unsure": found.unsure,
        "pr": found.pr_ms,
        "qrs": found.qrs_ms,
        "qt": found.qt_ms,
        "qtc_fridericia": found.qtc_fridericia_ms,
        "qtc_bazett": found.qtc_bazett_ms,
    }
