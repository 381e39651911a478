"""Follows ventricular waves: movement at a cardiac rate without QRS complexes, or with too few of
them."""

from __future__ import annotations

import msgspec

from models.beats.decoding import THRESHOLD
from models.signal.conditioning import FS_HZ
from stream_processor.pipeline.stages.seconds import AnalysedSecond, Wave

# Root mean square of the stillest half second of the last three, in mV, from which a signal moves
# all the time. Three in four seconds of asystole in VFDB stay below 0.036, nineteen in twenty of VF
# are above 0.041. Beside large QRS complexes the baseline is never as still.
STILL_MV = 0.04
STILL_SHARE, STILL_MOST_MV = 0.025, 0.06  # of the usual QRS, and at most
LOUD_MV = 0.06  # the same if the network for lethal rhythms sees an asystole
FIBRILLATORY, WAVERING = 0.5, 0.25  # probability of VF; seconds without QRS around it
REGULAR, REGULAR_ENOUGH = 0.6, 0.4  # likeness with one period before, alone and beside others
TACHYCARDIC = 0.5  # probability of VT, without QRS
# A regular movement that the network for lethal rhythms bears out, of which the QRS complexes
# account for less than this share; of one that is less regular, for less than FEW
VERY_REGULAR, BORNE_OUT, SHARE, FEW = 0.8, 0.6, 0.7, 0.5
CERTAIN = 0.9  # the same from which a wave goes on although most of its complexes are found
SLOWEST = 100.0  # a minute
# The longer no QRS comes in a signal that moves, the less the network need say: seconds, and the
# mean probability of VT or VF over them. In the noise of VFDB three in four seconds are below 0.06.
LONG, LITTLE = 4, 0.1
LASTING = 4 * FS_HZ
DECIDED = 5 * FS_HZ  # the kind is decided by then: regularity is measured over 4 s
BACK = 2 * FS_HZ  # a movement is known so late
OVER = 2  # seconds in a row without it that end a wave
KIND_OF = 4  # seconds
# VT: so regular by itself, or if the network for lethal rhythms holds with it; and no faster, a minute
VT_REGULAR, VT_REGULAR_BOTH, VT_FASTEST = 0.8, 0.7, 193.0
# A movement that is no faster than this a minute, and not faster than the beats before it by this
# factor, is the earlier rhythm, whose QRS complexes are missed
SLOW, FASTER = 130.0, 1.15
VF_IRREGULAR = 0.5


def moves(second: AnalysedSecond, size_mv: float) -> bool:
    """Whether the signal moves all the time, or its baseline jumps, of a patient whose QRS
    complexes are usually so large."""
    baseline = min(STILL_SHARE * size_mv, STILL_MOST_MV)
    still = max(LOUD_MV if second.standstill >= FIBRILLATORY else STILL_MV, baseline)
    return second.least_mv >= still or second.unsure


class WaveWatch(msgspec.Struct):
    """Follows the wave of one patient."""

    since: float | None = None
    wavering: float | None = None  # where seconds that may belong to it began
    out: int = 0  # seconds in a row that did not belong to it
    out_from: float = 0.0
    regular: list[float] = []  # of the newest seconds
    rates: list[float] = []
    found: list[int] = []  # sure QRS complexes of the newest seconds
    bare: list[float] = []  # probability of VT or VF of the newest seconds that moved without QRS
    kind: str = ""
    until: float = 0.0

    @property
    def on(self) -> bool:
        """True while a wave is in progress."""
        return self.since is not None

    def wave(self) -> Wave | None:
        """The wave in progress."""
        if self.since is None:
            return None
        rates = sorted(self.rates)
        rate = rates[len(rates) // 2] if rates else 0.0
        lasting = self.until - self.since >= LASTING
        return Wave(self.since, "VT" if self.kind == "VT" else "VF", rate, lasting)

    def take(
        self, second: AnalysedSecond, quiet: float, size_mv: float, usual: float | None
    ) -> float | None:
        """Follow the next second, of a patient with QRS complexes of usually this size and rate a
        minute; the end of a wave of some length that is over with it."""
        sure = sum(c.confidence >= THRESHOLD for c in second.complexes)
        self.found = [*self.found[-KIND_OF + 1 :], sure]
        strong, belongs = self._evidence(second, size_mv, usual)
        start = float(second.until - FS_HZ)
        if belongs:
            self.out = 0
            if self.wavering is None:
                by_movement = second.fibrillation < WAVERING
                self.wavering = max(quiet, start - BACK) if by_movement else start
            if strong and self.since is None:
                self.since, self.regular, self.rates, self.kind = self.wavering, [], [], ""
            self._note(second)
            return None
        if self.since is None:
            self.wavering = None
            return None
        self.out += 1
        if self.out == 1:
            self.out_from = start
        if self.out < OVER:
            return None
        lasted = self.out_from - self.since >= LASTING
        self.since = self.wavering = None
        return self.out_from if lasted else None

    def _note(self, second: AnalysedSecond) -> None:
        """Decide the wave's kind once it has lasted long enough; after that VT may become VF, but
        not the reverse."""
        self.until = float(second.until)
        self.regular = [*self.regular[-KIND_OF + 1 :], second.regular]
        self.rates = [*self.rates[-KIND_OF + 1 :], second.rate]
        rate = sorted(self.rates)[len(self.rates) // 2]
        lasting = self.since is not None and self.until - self.since > DECIDED
        if not lasting:
            both = second.regular >= VT_REGULAR_BOTH and second.tachycardia > second.fibrillation
            regular = both or max(self.regular[-2:]) >= VT_REGULAR
            self.kind = "VT" if regular and rate <= VT_FASTEST else "VF"
        elif sum(self.regular) < VF_IRREGULAR * len(self.regular):
            self.kind = "VF"

    def _evidence(
        self, second: AnalysedSecond, size_mv: float, usual: float | None
    ) -> tuple[bool, bool]:
        """Whether the second shows a wave by itself, and whether it may belong to one."""
        share = sum(self.found) / max(1.0, second.rate / 60 * len(self.found))
        very = second.regular >= VERY_REGULAR and second.rate >= SLOWEST
        lethal = second.fibrillation + second.tachycardia
        if very and share >= SHARE and not (self.on and lethal >= CERTAIN):
            self.bare = []
            return False, False  # the beats account for it
        if second.fibrillation >= FIBRILLATORY:
            return True, True
        if second.lead_off or not moves(second, size_mv):
            self.bare = []
            return False, False
        new = second.rate > SLOW or (self.on and lethal >= BORNE_OUT)
        new |= usual is not None and second.rate >= FASTER * usual
        if second.regular >= REGULAR_ENOUGH and not new:
            self.bare = []
            return False, False
        self.bare = [] if second.complexes else [*self.bare[-LONG + 1 :], lethal]
        if len(self.bare) == LONG and sum(self.bare) > LITTLE * LONG:
            return True, True
        few = second.regular >= REGULAR and share < FEW
        if (very or few) and lethal >= BORNE_OUT:
            return True, True
        if second.complexes:
            return False, False
        if second.unsure and second.regular < REGULAR_ENOUGH:  # as artefact is
            return False, lethal >= WAVERING
        seen = lethal >= LITTLE or second.least_mv >= LOUD_MV  # P waves are smaller
        strong = (second.regular >= REGULAR and seen) or second.tachycardia >= TACHYCARDIC
        return strong, strong or lethal >= WAVERING or second.regular >= REGULAR_ENOUGH
