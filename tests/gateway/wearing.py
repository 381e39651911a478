"""A patient wears a virtual H10 through a bad night, faster than life; and what an undisturbed recording would say.

Time is the test's: the strap sets the gateway's clock to when each frame arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ingest.clock import ManualClock
from ingest.gateway.codecs.polar import FACTORY_NS
from ingest.messages import Beat, SampleChunk, sample_offset_ns
from ingest.simulator.generate import simulate
from ingest.simulator.scenario import parse
from stream_processor.pipeline.ward import Ward
from tests.gateway.signals import START_NS
from tests.gateway.virtual_h10 import PER_FRAME, VirtualH10

TRUE_FS_HZ = 128.4
LINK_LOSS_S, AWAY_FRAMES = 60.0, 9  # every minute, for five seconds
FIRST_NS = FACTORY_NS + 23_171_427_290  # it was switched on a while before


@dataclass
class Night:
    """A signal, and what goes wrong with each frame of it."""

    microvolts: NDArray[np.int16]
    contact: NDArray[np.bool_]  # per frame
    lost: set[int] = field(default_factory=set)  # frames sent while nobody was connected
    stamp: dict[int, int] = field(default_factory=dict)  # frame: another frame's timestamp
    jitter_s: float = 0.004

    @property
    def frames(self) -> int:
        return len(self.microvolts) // PER_FRAME

    def last_ns(self, frame: int) -> int:
        """True time of a frame's last sample since the first frame began."""
        return sample_offset_ns((frame + 1) * PER_FRAME - 1, TRUE_FS_HZ)


def bad_night(seconds: float, *, bad_times: bool = True) -> Night:
    """Sinus rhythm with ventricular beats, 20 s without contact; link lost every minute; timestamps that repeat and jump back."""
    half = {"rhythm": "sinus", "duration_s": seconds / 2 - 10, "rate": 72, "pvc_per_minute": 4}
    segments = [half, {"rhythm": "lead_off", "duration_s": 20}, half]
    data = {"fs_hz": TRUE_FS_HZ, "counts_per_mv": 1000.0, "segments": segments, "seed": 5}
    found = list(simulate(parse(data, "night")))
    counts = np.concatenate([b.counts for b in found])
    off = np.concatenate([np.full(len(b.counts), b.lead_off) for b in found])
    frames = len(counts) // PER_FRAME
    contact = ~off[: frames * PER_FRAME].reshape(frames, PER_FRAME).any(axis=1)
    night = Night(counts, contact)
    per_loss = round(LINK_LOSS_S * TRUE_FS_HZ / PER_FRAME)
    for k in range(per_loss, frames - 2 * AWAY_FRAMES, per_loss):
        night.lost |= set(range(k, k + AWAY_FRAMES))
    if bad_times:
        rng = np.random.default_rng(7)
        for k in range(20, frames, 13):
            if not night.lost & set(range(k - 3, k + 4)):
                night.stamp[k] = k - 1 if rng.random() < 0.5 else k - int(rng.integers(2, 20))
    return night


async def wear(
    night: Night, strap: VirtualH10, clock: ManualClock, arrived: Callable[[], bool]
) -> None:
    """Live through the night. `arrived` says whether the gateway has the frame that was sent last."""
    rng = np.random.default_rng(1)
    for k in range(night.frames):
        await strap.streaming.wait()
        at_ns = START_NS + night.last_ns(k) + round(rng.uniform(0, night.jitter_s) * 1e9)
        clock.advance((at_ns - clock.now_ns()) / 1e9)
        if k in night.lost:
            if k - 1 not in night.lost:
                await strap.lose_link()
            continue
        frame = night.microvolts[k * PER_FRAME : (k + 1) * PER_FRAME].tolist()
        await strap.send_rate(72, bool(night.contact[k]))
        await strap.send(frame, FIRST_NS + night.last_ns(night.stamp.get(k, k)))
        async with asyncio.timeout(30):
            while not arrived():
                await asyncio.sleep(0)


def undisturbed(night: Night) -> list[SampleChunk]:
    """The same signal as a recorder beside the strap would have it: true rate, true times, less what was lost."""
    chunks = []
    for k in range(night.frames):
        if k not in night.lost:
            samples = night.microvolts[k * PER_FRAME : (k + 1) * PER_FRAME].astype("<i2").tobytes()
            chunks.append(
                SampleChunk(
                    patient_id="p", device_id="d", lead="ECG", seq=k, first_sample=k * PER_FRAME,
                    t0_ns=START_NS + sample_offset_ns(k * PER_FRAME, TRUE_FS_HZ), fs_hz=TRUE_FS_HZ,
                    counts_per_mv=1000.0, samples=samples, lead_off=not night.contact[k],
                )
            )  # fmt: skip
    return chunks


def beats_of(chunks: Iterable[SampleChunk], ward: Ward) -> list[Beat]:
    """What the processor's data path makes of chunks of patient p, to the end."""
    events = [event for chunk in chunks for event in ward.push([chunk])] + ward.flush("p")
    ward.close("p")
    return [event for event in events if isinstance(event, Beat)]


def assert_same_beats(found: list[Beat], wanted: list[Beat]) -> None:
    """One to one, R times within 10 ms, of the same class, none lost and none twice."""
    at = np.array([b.time_ns for b in found]) / 1e6
    true = np.array([b.time_ns for b in wanted]) / 1e6
    assert len(at) == len(true), f"{len(at)} beats, should be {len(true)}"
    off = at - true
    assert np.abs(off).max() < 10, f"R times are up to {np.abs(off).max():.1f} ms off"
    assert [b.label for b in found] == [b.label for b in wanted]
