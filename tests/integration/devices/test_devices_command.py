"""`ecgwatch devices` and `ecgwatch patients` on a broker."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from ecgwatch.__main__ import app
from ingest.errors import BadInputError
from ingest.messages import Action
from ingest.registry.reader import read_registry
from ingest.topics import ACKS
from tests.brokers import kafka_first
from tests.integration.devices.ingest_bench import journal, read_topic


@kafka_first
def test_admit_wear_transfer_discharge_readmit(broker):
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, [*arguments, "--broker", broker.address])
        if done.exception is not None:
            raise done.exception
        return done.output

    token = run("devices", "add", "h10-1", "--model", "Polar H10").splitlines()[0]
    run("devices", "add", "h10-2")
    assert read_registry(broker.address).device_of(token).device_id == "h10-1"
    run(
        *("patients", "admit", "ada", "--name", "Ada L.", "--bed", "3", "--device", "h10-1"),
        *("--profile", "paediatric", "--by", "Kim"),
    )
    assert "ada: bed 3, Ada L., wears h10-1, profile paediatric" in run("patients", "list")
    assert "h10-1: worn by ada, never heard  (Polar H10)" in run("devices", "list")
    run("patients", "transfer", "ada", "--bed", "4", "--device", "h10-2", "--by", "Kim")
    assert "ada: bed 4, Ada L., wears h10-2" in run("patients", "list")
    run("patients", "admit", "bob", "--bed", "3", "--by", "Kim")
    with pytest.raises(BadInputError, match="'bob' is in bed '3'"):
        run("patients", "transfer", "ada", "--bed", "3")
    with pytest.raises(BadInputError, match="no alarm profile 'athlete'"):
        run("patients", "admit", "eve", "--profile", "athlete")
    run("patients", "discharge", "ada", "--by", "Kim")
    assert "ada" not in run("patients", "list")
    assert "discharged" in run("patients", "list", "--all")
    run("devices", "revoke", "h10-2", "--by", "Lee")
    assert "h10-2: worn by nobody, never heard, token revoked" in run("devices", "list")
    run("patients", "admit", "ada", "--bed", "4", "--by", "Kim")
    assert "ada: bed 4, Ada L., wears nothing, profile paediatric" in run("patients", "list")
    entries = [(e.kind, e.text) for e in journal(broker.address) if e.patient_id == "ada"]
    assert entries == [
        ("admitted", "bed 3"),
        ("device assigned", "h10-1"),
        ("transferred", "from bed 3 to bed 4"),
        ("device released", "h10-1, in favour of h10-2"),
        ("device assigned", "h10-2"),
        ("discharged", "from bed 4"),
        ("device released", "h10-2"),
        ("admitted", "bed 4"),
    ]
    told = [a for a in read_topic(broker.address, ACKS.name, Action) if a.patient_id == "ada"]
    assert [(a.action, a.profile, a.by) for a in told] == [
        ("profile", "paediatric", "Kim"),
        ("acknowledge", "", "Kim"),
    ]
