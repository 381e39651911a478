"""Generates signal and reference annotations of a scenario: live, block by block, or as a WFDB
record."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.errors import BadInputError
from ingest.simulator import rhythms, script
from ingest.simulator.artefacts import Artefacts, motion
from ingest.simulator.events import Event
from ingest.simulator.heart import Heart
from ingest.simulator.morphology import AFTER_S, BEFORE_S, render
from ingest.simulator.oscillations import (
    AtrialFibrillation,
    Oscillator,
    Samples,
    VentricularFibrillation,
    ventricular_flutter,
)
from ingest.simulator.scenario import Scenario
from ingest.sources.base import Annotation, Block

PIECE_S = 10.0  # signal is made in pieces of at most this length; the signal does not depend on it
LATE_S = 1.2  # how much too late in order an event may come (rhythms.play)
FADE_S = 0.12  # fibrillation fades in and out within this time
SETTLE_MV, SETTLE_S = (
    1.5,
    0.35,
)  # baseline swing after an electrode is reattached, and its time constant


class _Stay(NamedTuple):
    """Place of a segment in the record, in samples."""

    segment: script.Segment
    start: int
    end: int
    seeds: np.random.SeedSequence
    after_lead_off: bool


def simulate(
    scenario: Scenario, *, seed: int | None = None, duration_s: float | None = None
) -> Iterator[Block]:
    """Yield the signal of a simulated patient, lazily; endless if the scenario loops and no
    duration is given.

    The same scenario and seed give the same samples, however many are taken. `seed` replaces the
    scenario's and gives another patient on the same script. Raises BadInputError if the scenario is
    shorter than the duration and does not loop.
    """
    if duration_s is not None and duration_s > scenario.script_s and not scenario.loop:
        raise BadInputError(
            f"scenario {scenario.name} lasts {scenario.script_s:g} s, asked for {duration_s:g} s",
            "Ask for less, or set loop = true in it.",
        )
    blocks = _Patient(scenario, scenario.seed if seed is None else seed).blocks()
    return blocks if duration_s is None else _until(blocks, round(duration_s * scenario.fs_hz))


def write_wfdb(
    scenario: Scenario,
    folder: Path,
    name: str,
    duration_s: float | None = None,
    *,
    seed: int | None = None,
) -> Path:
    """Write NAME.hea, .dat (16 bits) and .atr into a folder; return the record's path without
    suffix.

    The default duration is that of the script. Raises BadInputError as `simulate` does, and for a
    name that WFDB does not allow.
    """
    if not re.fullmatch(r"[-\w]+", name, re.ASCII):
        raise BadInputError(
            f"record name {name!r}: not one that WFDB allows", "Use letters, digits, - and _ only."
        )
    import wfdb  # imports pandas, which takes seconds and a live stream does not need

    blocks = list(
        simulate(
            scenario, seed=seed, duration_s=scenario.script_s if duration_s is None else duration_s
        )
    )
    counts = np.concatenate([block.counts for block in blocks])
    annotations = [annotation for block in blocks for annotation in block.annotations]
    folder.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        name,
        scenario.fs_hz,
        ["mV"],
        [scenario.lead],
        d_signal=counts[:, None],
        fmt=["16"],
        adc_gain=[scenario.counts_per_mv],
        baseline=[0],
        comments=[f"Simulated by ecgwatch: {scenario.name}. {scenario.description}".strip()],
        write_dir=str(folder),
    )
    samples = np.array([annotation.sample for annotation in annotations])
    symbols, notes = [a.symbol for a in annotations], [a.aux for a in annotations]
    wfdb.wrann(
        name, "atr", samples, symbols, aux_note=notes, fs=scenario.fs_hz, write_dir=str(folder)
    )
    return folder / name


def _until(blocks: Iterator[Block], samples: int) -> Iterator[Block]:
    """Yield blocks up to a number of samples; the last one is cut."""
    left = samples
    for block in blocks:
        within = tuple(
            annotation for annotation in block.annotations if annotation.sample < samples
        )
        yield replace(block, counts=block.counts[:left], annotations=within)
        left -= len(block.counts)
        if left <= 0:
            return


class _Patient:
    """Generates one patient's signal, piece by piece."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario, self._fs = scenario, scenario.fs_hz
        heart, noise, self._seeds = np.random.SeedSequence(seed).spawn(3)
        self._heart = Heart(scenario.patient, self._fs, np.random.default_rng(heart))
        self._artefacts = Artefacts(
            self._fs, scenario.patient.breaths_per_minute, np.random.default_rng(noise)
        )
        self._before, self._after = round(BEFORE_S * self._fs), round(AFTER_S * self._fs)
        self._overlap = np.zeros(0)  # waves of drawn beats, from the present sample on
        self._marks: list[Annotation] = []  # annotations not yet yielded

    def blocks(self) -> Iterator[Block]:
        """Yield all blocks of the script, repeatedly if it loops. A block lies within one
        segment."""
        stays, ahead = itertools.tee(self._stays())
        beats = _Ahead(self._beats(ahead))
        for stay in stays:
            rng = np.random.default_rng(stay.seeds)
            wave = _Wave(stay, self._fs, rng)
            noise = self._scenario.noise_in(stay.segment)
            bursts = _Ahead(
                motion(noise, stay.start / self._fs, stay.end / self._fs, self._fs, rng)
            )
            piece = max(round(PIECE_S * self._fs), 1)
            for start in range(stay.start, stay.end, piece):
                end = min(start + piece, stay.end)
                horizon = end + self._before + round(LATE_S * self._fs)
                self._draw([*beats.until(horizon), *bursts.until(horizon)], start)
                signal = (
                    self._take(end - start)
                    + wave.next(start, end - start)
                    + self._artefacts.next(start, end - start, noise)
                )
                yield self._block(signal, end, lead_off=stay.segment.rhythm == "lead_off")

    def _stays(self) -> Iterator[_Stay]:
        """Yield the segments with their places in the record."""
        clock_s, start, lead_off = 0.0, 0, False
        for segment in (
            itertools.cycle(self._scenario.segments)
            if self._scenario.loop
            else self._scenario.segments
        ):
            clock_s += segment.duration_s
            end = round(clock_s * self._fs)
            yield _Stay(segment, start, end, self._seeds.spawn(1)[0], lead_off)
            start, lead_off = end, segment.rhythm == "lead_off"

    def _beats(self, stays: Iterator[_Stay]) -> Iterator[Event]:
        for stay in stays:
            yield from rhythms.play(
                self._heart, stay.segment, stay.start / self._fs, stay.end / self._fs
            )

    def _draw(self, events: list[Event], now: int) -> None:
        """Add the events' waves to the coming samples, and keep their annotations."""
        self._marks += [
            Annotation(event.sample, event.symbol, event.aux) for event in events if event.symbol
        ]
        drawn = [(event.sample, event.kernels) for event in events if event.kernels is not None]
        if not drawn:
            return
        kernels = np.zeros((len(drawn), max(len(rows) for _, rows in drawn), 4))
        kernels[..., 2:] = 1.0  # width of rows that stay empty
        for place, (_, rows) in zip(kernels, drawn, strict=True):
            place[: len(rows)] = rows
        waves = render(kernels, np.arange(-self._before, self._after) / self._fs)
        last = max(sample for sample, _ in drawn) + self._after - now
        self._overlap = np.concatenate([self._overlap, np.zeros(max(last - len(self._overlap), 0))])
        for (sample, _), wave in zip(drawn, waves, strict=True):
            first = sample - self._before - now
            self._overlap[max(first, 0) : first + len(wave)] += wave[max(-first, 0) :]

    def _take(self, n: int) -> Samples:
        out = np.zeros(n)
        have = min(n, len(self._overlap))
        out[:have] = self._overlap[:have]
        self._overlap = self._overlap[n:]
        return out

    def _block(self, signal_mv: Samples, end: int, *, lead_off: bool) -> Block:
        ready = sorted(
            (mark for mark in self._marks if mark.sample < end), key=lambda mark: mark.sample
        )
        self._marks = [mark for mark in self._marks if mark.sample >= end]
        limits = np.iinfo(np.int16)
        scaled = np.clip(
            np.rint(signal_mv * self._scenario.counts_per_mv), limits.min, limits.max
        ).astype(np.int16)
        return Block(np.zeros_like(scaled) if lead_off else scaled, lead_off, tuple(ready))


class _Ahead:
    """Takes events from an iterator only as far as a given sample."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._held: Event | None = None

    def until(self, sample: int) -> Iterator[Event]:
        """Yield the next events up to the first that lies at or after the sample; that one waits
        for the next call."""
        while (event := self._held or next(self._events, None)) is not None:
            self._held = event if event.sample >= sample else None
            if self._held:
                return
            yield event


class _Wave:
    """Signal of a segment besides its beats: fibrillation, and the baseline swing after an
    electrode was reattached."""

    def __init__(self, stay: _Stay, fs_hz: float, rng: np.random.Generator) -> None:
        self._stay, self._fs = stay, fs_hz
        segment = stay.segment
        self._source: AtrialFibrillation | VentricularFibrillation | Oscillator | None = None
        self._heights = (0.0, 0.0)
        if isinstance(segment, script.Afib):
            self._source, self._heights = (
                AtrialFibrillation(fs_hz, segment.f_wave_hz, rng),
                (segment.f_wave_mv, segment.f_wave_mv),
            )
        elif isinstance(segment, script.Fibrillation):
            self._source, self._heights = (
                VentricularFibrillation(fs_hz, segment.wave_hz, rng),
                (segment.start_mv, segment.end_mv),
            )
        elif isinstance(segment, script.Flutter):
            self._source, self._heights = (
                ventricular_flutter(fs_hz, segment.wave_hz, rng),
                (segment.start_mv, segment.end_mv),
            )

    def next(self, start: int, n: int) -> NDArray[np.float64]:
        """Return samples `start` to `start` + n of the record (n,), mV."""
        samples = np.arange(start, start + n)
        since_s, left_s = (
            (samples - self._stay.start) / self._fs,
            (self._stay.end - samples) / self._fs,
        )
        out = SETTLE_MV * np.exp(-since_s / SETTLE_S) if self._stay.after_lead_off else np.zeros(n)
        if self._source is not None:
            height = np.interp(samples, (self._stay.start, self._stay.end), self._heights)
            out += (
                self._source.next(n) * height * np.clip(np.minimum(since_s, left_s) / FADE_S, 0, 1)
            )
        return out
