"""`ecgwatch monitor --ingest`: ward page, ingest API and phone page of one process, over TLS."""

from __future__ import annotations

import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx

from ingest.clock import SystemClock
from ingest.embedded import EmbeddedBroker
from ingest.server.tls import self_signed
from tests.integration.devices.ingest_bench import People, Sender


def test_one_process_serves_the_ward_and_takes_samples(tmp_path: Path) -> None:
    tls = self_signed(tmp_path / "tls", ["127.0.0.1"], SystemClock())
    trust = ssl.create_default_context(cafile=tls.certificate)
    command = [sys.executable, "-m", "ecgwatch", "monitor", "--ingest", "--port", "0"]
    command += ["--certificate", str(tls.certificate), "--key", str(tls.key), "--sink", "memory:"]
    with EmbeddedBroker() as broker:
        token = People(broker.address).device("h10-1", "ada")
        process = subprocess.Popen(
            [*command, "--broker", broker.address], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        try:
            url = process.stdout.readline().removeprefix("monitor: ").strip().rstrip("/")
            assert url.startswith("https://")
            sender = Sender(url, token)
            sender.client.close()
            sender.client = httpx.Client(
                base_url=url, headers={"Authorization": f"Bearer {token}"}, verify=trust
            )
            sender.until_taken(0)
            page = sender.client.get("/join")
            assert "Join the ward" in page.text
            assert "script-src 'self'" in page.headers["content-security-policy"]
            assert sender.client.get("/api/people").json()["join_url"] == "/join"
            deadline, shown = time.monotonic() + 30, []
            while not shown and time.monotonic() < deadline:
                shown = sender.client.get("/api/patients").json()["patients"]
            assert [p["id"] for p in shown] == ["ada"]
            sender.client.close()
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()
