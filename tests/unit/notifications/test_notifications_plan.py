"""The notifications file: what it may say, how mistakes are named, whom it tells; what a message
says; how an address stays secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecgwatch.commands.services.notify import with_secrets
from ingest.errors import BadInputError
from ingest.messages import Alarm
from stream_processor.notifications.moments import AlarmMoment, moment_of
from stream_processor.notifications.plan import (
    NotificationPlan,
    PlannedNotice,
    load,
    planned_notices,
)
from stream_processor.notifications.progress import Progress
from stream_processor.notifications.sender import NotificationSender
from stream_processor.notifications.text import note

# a plug-in of Apprise
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
NIGHT = 1_767_222_000 * 10**9  # 2025-12-31T23:00:00Z, midnight in Berlin
NOON = NIGHT + 12 * 3600 * 10**9
ONSET = AlarmMoment("onset", 0)
FILE = """
timezone = "Europe/Berlin"
monitor = "http://ward:8050"

[recipients]
nurse = { url = "json://127.0.0.1/nurse" }
doctor = { url = "json://127.0.0.1/doctor" }
chief = { url = "json://127.0.0.1/chief" }

[groups]
icu = ["Bed 1*", "Bed 2"]

[[rules]]
patients = ["@icu", "guest-?"]
priorities = ["high", "medium"]
recipients = ["nurse"]
quiet = "22:30-06:00"
escalation = [{ level = 1, recipients = ["doctor"] }, { level = 3, recipients = ["chief"] }]
also = ["end"]

[[rules]]
kinds = ["atrial_fibrillation"]
recipients = ["doctor"]
"""


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str) -> Path:
        path = tmp_path / "notifications.toml"
        path.write_text(text)
        return path

    return _write


@pytest.fixture
def plan(write) -> NotificationPlan:
    return load(write(FILE))


def alarm(**changes: Any) -> Alarm:
    a = Alarm(
        patient_id="Bed 12",
        device_id="d",
        lead="II",
        fs_hz=250.0,
        id="Bed 12:hr_high:5",
        kind="hr_high",
        priority="medium",
        step="onset",
        changed_ns=NOON,
        onset_ns=NOON,
        raised_ns=NOON,
        onset_sample=0,
        raised_sample=0,
        text="HR 134 > 120",
    )
    return msgspec.structs.replace(a, **changes)


def names(found: list[PlannedNotice]) -> list[str]:
    return [t.recipient for t in found if not t.held_back]


@pytest.mark.parametrize(
    ("changes", "moment", "told"),
    [
        ({}, ONSET, ["nurse"]),
        ({"patient_id": "Bed 2"}, ONSET, ["nurse"]),
        ({"patient_id": "Bed 22"}, ONSET, []),
        ({"patient_id": "guest-7"}, ONSET, ["nurse"]),
        ({"patient_id": "GUEST-7"}, ONSET, []),
        ({"priority": "low"}, ONSET, []),
        ({"kind": "atrial_fibrillation"}, ONSET, ["nurse", "doctor"]),
        ({"kind": "atrial_fibrillation", "priority": "low", "patient_id": "x"}, ONSET, ["doctor"]),
        ({}, AlarmMoment("escalated", 1), ["nurse", "doctor"]),
        ({}, AlarmMoment("escalated", 2), ["nurse", "doctor"]),
        ({}, AlarmMoment("escalated", 3), ["nurse", "doctor", "chief"]),
        ({}, AlarmMoment("end", 0), ["nurse"]),
        ({}, AlarmMoment("acknowledged", 0), []),
    ],
)
def test_whom_the_rules_tell(plan, changes, moment, told):
    assert names(planned_notices(plan, alarm(**changes), moment, NOON)) == told


@pytest.mark.parametrize(
    ("minutes", "quiet"),
    [(-91, False), (-90, True), (0, True), (359, True), (360, False), (720, False)],
)  # from midnight in Berlin
def test_quiet_hours_are_local_and_go_over_midnight(plan, minutes, quiet):
    at_ns = NIGHT + minutes * 60 * 10**9
    (found,) = planned_notices(plan, alarm(), ONSET, at_ns)
    assert found.held_back == ("quiet hours 22:30-06:00" if quiet else "")
    assert names(planned_notices(plan, alarm(priority="high"), ONSET, at_ns)) == ["nurse"]


def test_a_rule_without_quiet_hours_goes_before_one_with(plan):
    found = planned_notices(
        plan, alarm(kind="atrial_fibrillation"), AlarmMoment("escalated", 1), NIGHT
    )
    assert found == [PlannedNotice("nurse", "quiet hours 22:30-06:00"), PlannedNotice("doctor")]


def test_quiet_hours_follow_summer_time(plan):
    july = 1_782_944_100 * 10**9  # 2026-07-01T22:15:00Z: 0:15 in Berlin
    assert names(planned_notices(plan, alarm(), ONSET, july)) == []
    assert names(planned_notices(plan, alarm(), ONSET, july - 2 * 3600 * 10**9)) == [
        "nurse"
    ]  # 22:15


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("quiet =", "quite =", r"unknown field `quite` - at `\$\.rules\[0\]`"),
        ('"medium"]', '"middling"]', r"'middling' - at `\$\.rules\[0\]\.priorities"),
        ('["atrial_fibrillation"]', '["flutter"]', r"'flutter' - at `\$\.rules\[1\]\.kinds"),
        ('also = ["end"]', 'also = ["start"]', "'start'"),
        (
            'recipients = ["nurse"]',
            'recipients = ["nurze"]',
            "rule 1: no recipient 'nurze' is in the file",
        ),
        ('recipients = ["chief"]', 'recipients = ["boss"]', "rule 1: no recipient 'boss'"),
        ('recipients = ["nurse"]', "recipients = []", "rule 1: recipients is empty"),
        ('"@icu"', '"@ccu"', "rule 1: no group 'ccu'"),
        ("22:30-06:00", "22:30-24:00", "rule 1: quiet = '22:30-24:00' is not written HH:MM-HH:MM"),
        ("22:30-06:00", "06:00-06:00", "has no length"),
        ("level = 1", "level = 0", "rule 1: escalation level 0 is below 1"),
        ("Europe/Berlin", "Europe/Bärlin", "timezone = 'Europe/Bärlin' is no zone"),
        ("Europe/Berlin", "../etc/passwd", "is no zone"),
        ("http://ward:8050", "ward:8050", "monitor = 'ward:8050' is no http"),
        ("json://127.0.0.1/chief", "", "recipient 'chief' has no url"),
        ("[groups]", "[groups", "notifications.toml"),
    ],
)
def test_a_mistake_is_named(write, old, new, problem):
    assert old in FILE
    with pytest.raises(BadInputError, match=problem) as caught:
        load(write(FILE.replace(old, new, 1)))
    assert "notifications.toml" in caught.value.problem
    assert "docs/notifications.md" in caught.value.remedy


def test_a_file_without_rules_or_not_there(write, tmp_path):
    with pytest.raises(BadInputError, match="rules"):
        load(write('[recipients.a]\nurl = "json://x"\n'))
    with pytest.raises(BadInputError, match=r"none\.toml"):
        load(tmp_path / "none.toml")


def test_secrets_come_from_the_environment(write):
    plan = load(
        write(
            FILE.replace("json://127.0.0.1/nurse", "json://u:${PASS}@127.0.0.1").replace(
                "json://127.0.0.1/chief", "${CHIEF}"
            )
        )
    )
    urls = with_secrets(plan, {"PASS": "a/b@c", "CHIEF": "json://u:p@127.0.0.1/x"})
    assert (urls["nurse"], urls["chief"]) == (
        "json://u:a%2Fb%40c@127.0.0.1",
        "json://u:p@127.0.0.1/x",
    )
    with pytest.raises(BadInputError, match=r"recipient 'nurse' needs PASS from the environment"):
        with_secrets(plan, {"CHIEF": "x"})


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "json://",
        "mailto://x",
        "json://127.0.0.1/a,json://127.0.0.1/b json://127.0.0.1/c",
        "s3cret://a",
    ],
)
def test_an_address_that_apprise_cannot_use_is_named_and_not_shown(url):
    with pytest.raises(BadInputError, match="recipient 'nurse'") as caught:
        NotificationSender({"nurse": url})
    assert url not in str(caught.value)


def test_why_it_failed_without_the_address():
    sender = NotificationSender({"nurse": "json://ann:s3cret@127.0.0.1:9/token-abc?x=y-z"})
    failure = sender.send("nurse", note(load_plan(), alarm(), ONSET))
    assert "Connection" in failure
    for secret in ("127.0.0.1", "s3cret", "ann", "token-abc"):
        assert secret not in failure


def load_plan() -> NotificationPlan:
    return msgspec.toml.decode(FILE, type=NotificationPlan)


def test_what_a_message_says(plan):
    one = note(plan, alarm(), ONSET)
    assert one.title == "** Bed 12: HR 134 > 120"
    assert one.body.splitlines() == [
        "** HR 134 > 120",
        "Patient: Bed 12",
        "Since: 2026-01-01 12:00:00 CET",
        "Monitor: http://ward:8050/alarm?patient=Bed%2012&id=Bed%2012%3Ahr_high%3A5",
        "Id: Bed 12:hr_high:5|onset|0",
    ]
    high = note(
        plan, alarm(priority="high", text="ASYSTOLE 6 s", level=2), AlarmMoment("escalated", 2)
    )
    assert (high.title, high.tone) == ("*** Bed 12: ASYSTOLE 6 s (call 3)", "failure")
    assert "call 3" in high.body
    over = note(plan, alarm(end_ns=NOON + 60 * 10**9), AlarmMoment("end", 0))
    assert over.title.startswith("Over: **")
    assert "Over since: 2026-01-01 12:01:00 CET" in over.body
    assert "by Ann" in note(plan, alarm(acknowledged_by="Ann"), AlarmMoment("acknowledged", 0)).body


def test_a_name_cannot_break_out_of_its_line(plan):
    one = note(plan, alarm(patient_id="x\r\nBcc: everybody@example.org", text="a\nb"), ONSET)
    assert one.title == "** x  Bcc: everybody@example.org: a b"
    assert len(one.body.splitlines()) == 5


def test_moments():
    assert moment_of(alarm(announced=False), first=True) is None
    assert moment_of(alarm(step="update"), first=True) == ONSET
    assert moment_of(alarm(step="update"), first=False) is None
    assert moment_of(alarm(step="escalated", level=2), first=False) == AlarmMoment("escalated", 2)
    assert moment_of(alarm(step="silenced"), first=False) is None


def test_commits_follow_the_deliveries_in_order():
    progress = Progress()
    progress.begin(0, 10, ["a", "b"])
    progress.begin(0, 11, [])
    progress.begin(1, 5, [])
    assert progress.commits() == {1: 6}
    progress.safe("b")
    assert progress.commits() == {}
    progress.begin(0, 12, ["c"])
    progress.safe("a")
    progress.safe("a")
    assert progress.commits() == {0: 12}
    progress.forget([0])
    progress.safe("c")
    assert progress.commits() == {}
