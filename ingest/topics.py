"""The Kafka topics, in one place. Every topic is keyed by patient_id and has the same number of
partitions."""

from __future__ import annotations

from typing import NamedTuple

DAY_MS = 24 * 3600 * 1000
FOREVER = -1


class Topic(NamedTuple):
    """A topic and how it is kept."""

    name: str
    retention_ms: int  # FOREVER: as long as the disk
    compacted: bool = False


SAMPLES = Topic("ecg.samples", 1 * DAY_MS)
REFERENCE = Topic("ecg.reference", 7 * DAY_MS)
BEATS = Topic("ecg.beats", 7 * DAY_MS)
RHYTHM = Topic("ecg.rhythm", 7 * DAY_MS)
VITALS = Topic("ecg.vitals", 7 * DAY_MS)
ALARMS = Topic("ecg.alarms", 30 * DAY_MS)
# findings of tasks that the model learned after its release
FINDINGS = Topic("ecg.findings", 7 * DAY_MS)
STRIPS = Topic("ecg.strips", 7 * DAY_MS)  # signal around each alarm
WAVEFORMS = Topic("ecg.waveforms", 7 * DAY_MS)  # signal as received, in blocks, for the store
ACKS = Topic("ecg.acks", 30 * DAY_MS)  # actions of people on alarms
# every attempt to notify somebody of an alarm
NOTIFICATIONS = Topic("ecg.notifications", 30 * DAY_MS)
SCORES = Topic("ecg.scores", 7 * DAY_MS)  # agreement with replayed reference annotations
EDITS = Topic("ecg.edits", 30 * DAY_MS)  # people's corrections of the model's answers
# messages that could not be decoded; the headers give the reason and the origin
DEAD_LETTER = Topic("ecg.dead-letter", 30 * DAY_MS)
# snapshots of the stream processor, one per patient
STATE = Topic("ecg.state", FOREVER, compacted=True)
# the orders in force for each patient's alarms, as decided by the alarm life cycle
ORDERS = Topic("ecg.orders", FOREVER, compacted=True)
# symptoms reported by wearers; people's changes of beds and devices
JOURNAL = Topic("ecg.journal", 30 * DAY_MS)
# devices and people (ingest/registry), the last record of each
REGISTRY = Topic("ecg.registry", FOREVER, compacted=True)
# when each device was last heard, and its stream (ingest/server)
DEVICES = Topic("ecg.devices", 7 * DAY_MS, compacted=True)

ALL = (
    SAMPLES,
    REFERENCE,
    BEATS,
    RHYTHM,
    VITALS,
    ALARMS,
    FINDINGS,
    STRIPS,
    WAVEFORMS,
    ACKS,
    NOTIFICATIONS,
    SCORES,
    EDITS,
    DEAD_LETTER,
    STATE,
    ORDERS,
    JOURNAL,
    REGISTRY,
    DEVICES,
)
PARTITIONS = 12
PROCESSOR_GROUP = "ecgwatch"  # the stream processor's consumer group
SCORES_GROUP = "ecgwatch-scores"  # the live scorer's consumer group
ARCHIVE_GROUP = "ecgwatch-archive"  # the consumer group that stores all events
