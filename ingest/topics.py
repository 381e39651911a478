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
FINDINGS = Topic("ecg.findings", 7 * DAY_MS)  # what tasks say that the model learned in the field
STRIPS = Topic("ecg.strips", 7 * DAY_MS)  # the signal around each alarm
WAVEFORMS = Topic("ecg.waveforms", 7 * DAY_MS)  # the signal as it came, in blocks, for the store
ACKS = Topic("ecg.acks", 30 * DAY_MS)  # what people did about alarms
# every attempt to tell somebody of an alarm
NOTIFICATIONS = Topic("ecg.notifications", 30 * DAY_MS)
SCORES = Topic("ecg.scores", 7 * DAY_MS)  # agreement with replayed reference annotations
EDITS = Topic("ecg.edits", 30 * DAY_MS)  # what people say of what the model said
# what could not be decoded; the headers say why and where it came from
DEAD_LETTER = Topic("ecg.dead-letter", 30 * DAY_MS)
# snapshots of the stream processor, one per patient
STATE = Topic("ecg.state", FOREVER, compacted=True)
# what holds of what people ordered about each patient's alarms: the life cycle's word
ORDERS = Topic("ecg.orders", FOREVER, compacted=True)
JOURNAL = Topic(
    "ecg.journal", 30 * DAY_MS
)  # what wearers say; what people did with beds and devices
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
SCORES_GROUP = "ecgwatch-scores"  # the live scorer's
ARCHIVE_GROUP = "ecgwatch-archive"  # of what stores all events
