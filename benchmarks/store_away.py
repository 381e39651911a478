#!/usr/bin/env python3
"""Take the store away while patients stream: are alarms told in time, does the disk suffice, and is
everything stored afterwards?

    nice python benchmarks/store_away.py [--patients 1000] [--minutes 60] [--speed 1]

A real Kafka and InfluxDB (tools/services.py), two `ecgwatch process`. The store runs for the first
tenth of the time, then it is stopped, and started again at the end. With --speed 4 every chunk comes
four times as fast as it was recorded, so an hour of signal, and of events that wait for the store,
takes 15 minutes; the same amounts pass, in less time. The signal is then dated so that it ends now.
Printed: the time from when a high alarm's first sample is sent to the alarm on ecg.alarms (what the rule
itself waits for is in it), with and without the store; how much Kafka's disk grew without it; how
long storing took afterwards; and the patients whose stored events are not those that the ward alone
makes of the same chunks. Exit status 1 if one is different, 2 if alarms took longer without the store
(99th percentile) by more than 5 s.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import chaos
from ingest.consumers import extents, open_reader, read_to_end
from ingest.messages import Alarm, decode

MORE_S = 5.0


class Pace(NamedTuple):
    """When sending begins, the date of the first sample, and how much faster than recorded it goes."""

    start_s: float
    first_s: float
    speed: float


def latencies(broker: str, pace: Pace, begin_s: float, end_s: float) -> np.ndarray:
    """Seconds from when the chunk in which an alarm of high priority begins was sent, to its message;
    of messages between two times of the wall clock. Others look at a minute and more of signal,
    which there is not in the time with the store."""
    found = []
    consumer = open_reader(broker)
    for message in read_to_end(consumer, "ecg.alarms", extents(consumer, "ecg.alarms")):
        alarm, at_s = decode(message.value() or b"", Alarm), message.timestamp()[1] / 1000
        lethal = alarm.priority == "high" and alarm.kind != "no_signal"
        if lethal and alarm.step == "onset" and begin_s <= at_s < end_s:
            signal_s = alarm.onset_ns / 1e9 - pace.first_s
            due_s = np.ceil(signal_s / chaos.CHUNK_S) * chaos.CHUNK_S / pace.speed
            found.append(at_s - pace.start_s - due_s)
    consumer.close()
    return np.array(found)


def disk_mb(folder: Path) -> float:
    """What the files of a folder take, in MB."""
    sizes = (f.stat().st_blocks * 512 for f in folder.rglob("*") if f.is_file())
    return sum(sizes) / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--speed", type=float, default=1.0)
    arguments = parser.parse_args()
    arguments.seed = 1
    ward, per = chaos.Chaos(arguments), max(1, arguments.patients // len(chaos.SCENARIOS))
    ward.first.wait_until_ready()
    ward.second.wait_until_ready()
    start_s, length_s = time.time(), 60 * arguments.minutes
    first_s = start_s + length_s / arguments.speed - length_s
    pace = Pace(start_s, first_s, arguments.speed)
    templates = [chaos.made(i, round(first_s * 1e9), length_s) for i in range(len(chaos.SCENARIOS))]
    sending = threading.Thread(target=ward.stream, args=(templates, per, start_s, arguments.speed))
    sending.start()
    time.sleep(length_s / arguments.speed / 10)
    away_s, before_mb = time.time(), disk_mb(ward.kafka.folder)
    ward.influxdb.stop()
    sending.join()
    ward.producer.flush(60)
    time.sleep(10.0)  # for the last alarms
    back_s, grown_mb = time.time(), disk_mb(ward.kafka.folder) - before_mb
    ward.influxdb.start()
    wrong = chaos.compare(ward, templates, per)
    stored_s = time.time() - back_s
    high_s = []
    for name, begin_s, end_s in (("with", start_s, away_s), ("without", away_s, back_s)):
        found = latencies(ward.kafka.address, pace, begin_s, end_s)
        if found.size:
            middle, high = np.quantile(found, (0.5, 0.99))
            high_s.append(float(high))
            print(
                f"{name} the store: {found.size} high alarms, told after {middle:.1f} s (median),"
                f" {high:.1f} s (p99), {found.max():.1f} s (longest)"
            )
    ward.first.stop()
    ward.second.stop()
    ward.kafka.remove()
    ward.influxdb.remove()
    hours = per * len(chaos.SCENARIOS) * length_s * 0.9 / 3600
    print(f"Kafka's disk grew by {grown_mb:.0f} MB, {grown_mb / hours:.1f} MB for a patient's hour")
    print(f"everything was read back {stored_s:.0f} s after the store was")
    print(f"patients with lost, repeated or other events: {len(wrong)}; logs in {ward.folder}")
    return 1 if wrong else 2 * (len(high_s) < 2 or high_s[1] > high_s[0] + MORE_S)


if __name__ == "__main__":
    sys.exit(main())
