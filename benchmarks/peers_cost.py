"""Compare the CPU that a patient costs with that of public QRS detectors, in one run on one core.

    python benchmarks/peers_cost.py [--patients 500] [--rounds 3]      # NeuroKit2: pip install -e '.[bench]'

Ours: the whole data path (QRS, beat classes, rhythm, lethal rhythm, vitals, alarms, recorder) of N live
patients, as benchmarks/stage_cost.py runs it. Theirs: QRS detection alone, on the last ten
seconds of a patient, run anew every ten seconds: the least that a live monitor built on them would do.
All on the same signals at 250 Hz, in turn; the figure is the median over rounds.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


from stage_cost import FS_HZ, SETTLE_S, SLICE_S, START_NS, Patients

from ecgwatch.modelling.peers import available
from ingest.clock import ManualClock
from models.serving import runtime
from stream_processor.pipeline.ward import Ward
from stream_processor.worker.app import GC_THRESHOLDS

ROUND_S = 4.0  # of signal, of ours in a round
WINDOW_S = 10.0
WINDOWS = 20  # of a peer in a round


class Ours:
    """A ward of live patients."""

    def __init__(self, patients: Patients) -> None:
        self._patients, self._clock, self._step = patients, ManualClock(START_NS), 0
        self._ward = Ward(runtime.load(), self._clock)
        self.run(SETTLE_S)

    def run(self, seconds: float) -> float:
        """CPU milliseconds per patient-second of the next seconds."""
        spent = 0.0
        for _ in range(round(seconds / SLICE_S)):
            chunks = self._patients.chunks(self._step)
            self._clock.advance(SLICE_S)
            self._step += 1
            start = time.thread_time()
            self._ward.push(chunks)
            spent += time.thread_time() - start
        return 1000 * spent / seconds / len(self._patients)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)
    detectors, missing = available()
    patients = Patients(given.patients)
    ours = Ours(patients)
    n = round(WINDOW_S * FS_HZ)
    windows = [patients.signal(i)[:n] / 200.0 for i in range(WINDOWS)]
    for detect in detectors.values():
        detect(windows[0], FS_HZ)  # what it imports, and compiles
    found: dict[str, list[float]] = {"ecgwatch": []} | {name: [] for name in detectors}
    for _ in range(given.rounds):
        found["ecgwatch"].append(ours.run(ROUND_S))
        for name, detect in detectors.items():
            start = time.thread_time()
            for window in windows:
                detect(window, FS_HZ)
            spent = time.thread_time() - start
            found[name].append(1000 * spent / WINDOWS / WINDOW_S)
    own = statistics.median(found["ecgwatch"])
    print("CPU ms per patient-second, one core, same signals, same run")
    for name, values in found.items():
        what = "all tasks and alarms" if name == "ecgwatch" else "QRS alone"
        middle = statistics.median(values)
        spread = f"{min(values):.4f}-{max(values):.4f}"
        print(f"  {name:<28} {middle:.4f} ({spread})  {middle / own:5.2f} times ours  {what}")
    for line in missing:
        print(line)


if __name__ == "__main__":
    main()
