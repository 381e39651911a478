"""A line per device: rate, clock, signal, spool, battery, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ingest.clock import Clock
from ingest.gateway.codecs.heart_rate import irregularity
from ingest.gateway.device import Device
from ingest.gateway.sender import Sender
from ingest.health import Metric

QUIET_S = 3.0  # without samples for longer: the line says since when
IRREGULAR = 0.3  # share of RR intervals that jump


def figures(device: Device, sender: Sender | None, clock: Clock) -> dict[str, Any]:
    """Return a device's figures, for the log and for `line`."""
    source, timeline = device.source, device.timeline
    silent_s = None if device.last_block_s is None else clock.steady_s() - device.last_block_s
    found: dict[str, Any] = {
        "device": source.name,
        "problem": device.problem,
        "silent_s": silent_s,
        "swing_mv": device.swing_mv(),
        "contact": source.wearing.contact,
        "battery": source.wearing.battery,
        "heart_rate": source.wearing.heart_rate,
        "irregularity": None if source.trace else irregularity(source.wearing.rr_s),
        "links": device.links,
        "bad_packets": device.bad_packets,
        "backlog_bytes": device.spool.backlog_bytes,
        "dropped_s": device.spool.dropped_s,
    }
    if timeline is not None:
        found |= {"fs_hz": timeline.true_fs_hz, "clock_ppm": 1e6 * timeline.rate_error}
        found |= {"restarts": timeline.restarts, **vars(timeline.counts)}
    if sender is not None:
        found |= {"not_sent": sender.problem, "sent": sender.sent, "refused": sender.refused}
    return found


def metrics(
    devices: Sequence[Device], senders: Sequence[Sender | None], clock: Clock
) -> list[Metric]:
    """Return the metrics of all devices together, for Prometheus."""
    found = [figures(d, s, clock) for d, s in zip(devices, senders, strict=True)]
    silent = [f for f in found if f["silent_s"] is None or f["silent_s"] > QUIET_S]
    waiting = float(sum(f["backlog_bytes"] for f in found))
    dropped_s = float(sum(f["dropped_s"] for f in found))
    return [
        Metric("devices", "gauge", "devices that are linked or looked for", len(found)),
        Metric("devices_silent", "gauge", f"no samples for {QUIET_S:g} s", len(silent)),
        Metric("backlog_bytes", "gauge", "samples on disk that are not sent yet", waiting),
        Metric("dropped_seconds_total", "counter", "signal dropped for want of disk", dropped_s),
        *(
            Metric(f"{name}_total", "counter", meaning, float(sum(f.get(key) or 0 for f in found)))
            for name, key, meaning in (
                ("chunks_sent", "sent", "chunks that the server has"),
                ("inputs_refused", "refused", "chunks that the server refused"),
                ("bad_packets", "bad_packets", "packets that could not be read"),
            )
        ),
    ]


def missing(senders: Sequence[Sender | None]) -> dict[str, str]:
    """Why samples are not sent; empty if they are."""
    problems = [s.problem for s in senders if s is not None and s.problem]
    return {"server": "; ".join(problems)} if problems else {}


def line(found: dict[str, Any], *, trace: bool) -> str:
    """Format the figures as a line for people."""
    parts = [*_link(found), *(_signal(found) if trace else _rate(found)), *_spool(found)]
    if found["battery"] is not None:
        parts.append(f"battery {found['battery']:.0%}")
    return f"{found['device']}: " + ", ".join(parts)


def _link(found: dict[str, Any]) -> list[str]:
    silent_s = found["silent_s"]
    if found["problem"]:
        since = f" for {silent_s:.0f} s" if silent_s is not None else ""
        return [f"NO LINK{since} ({found['problem']})"]
    if silent_s is not None and silent_s > QUIET_S:
        return [f"NO SAMPLES for {silent_s:.0f} s"]
    return []


def _signal(found: dict[str, Any]) -> list[str]:
    if found["swing_mv"] is None:
        return ["waiting for the first samples (up to 45 s)"] if not found["problem"] else []
    parts = []
    if "fs_hz" in found:
        parts += [f"{found['fs_hz']:.2f} Hz", f"clock {found['clock_ppm']:+.0f} ppm"]
    parts.append(f"signal {found['swing_mv']:.1f} mV")
    if found["contact"] is not None:
        parts.append("contact" if found["contact"] else "NO CONTACT")
    if found.get("missing"):
        parts.append(f"{found['missing']} samples lost in {found['gaps']} gaps")
    return parts


def _rate(found: dict[str, Any]) -> list[str]:
    """Return the parts of the status line of a strap that sends heart rates only."""
    if found["heart_rate"] is None:
        return ["waiting for the first heart rate"] if not found["problem"] else []
    parts = [f"{found['heart_rate']}/min, no trace"]
    share = found["irregularity"]
    if share is not None and share > IRREGULAR:
        parts.append(f"RR irregular ({share:.0%} of intervals)")
    if found["contact"] is False:
        parts.append("NO CONTACT")
    return parts


def _spool(found: dict[str, Any]) -> list[str]:
    parts = []
    if found.get("not_sent"):
        parts.append(f"NOT SENT: {found['not_sent']}")
    parts.append(f"spool {found['backlog_bytes'] / 1e6:.2f} MB")
    if found["dropped_s"]:
        parts.append(f"{found['dropped_s']:.0f} s DROPPED for want of disk budget")
    return parts
