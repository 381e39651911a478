"""A symptom and a note, from the wearer's device to the trace, the list, the report and the export,
beside the rhythm of that minute."""

from __future__ import annotations

import csv
import time
from functools import partial
from itertools import islice
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from ingest.messages import JournalEntry, Rhythm
from ingest.simulator.scenario import load
from ingest.sources.simulated import SimulatedSource
from ingest.wire import Chunk, WearerEvent, encode_chunks
from stream_processor.sinks.sqlite import SqliteSink
from tests.e2e.monitor_browser import Server, eventually, opened, shot
from tests.integration.devices.ingest_bench import People, Sender, running
from tests.integration.processor.test_whole_path import Stack, stack

__all__ = ["stack"]  # a fixture

AF_FROM_S = 20  # of the scenario
SIGNAL_S = 110
S = 10**9

# Pixels of a canvas in the colour of what the wearer said.
SAID = """
(c) => {
  const probe = document.createElement('span');
  probe.style.color = 'var(--said)';
  document.body.append(probe);
  const [r, g, b] = getComputedStyle(probe).color.match(/[0-9.]+/g).map(Number);
  probe.remove();
  const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  let n = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] > 200 && Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 12) n++;
  return n;
}
"""


def fibrillating(start_ns: int) -> list[Chunk]:
    """Sinus rhythm for 20 s, then atrial fibrillation, in chunks of a second."""
    source = SimulatedSource(load("afib"), duration_s=SIGNAL_S)
    counts = np.concatenate([block.counts for block in source.blocks()])
    n = round(source.fs_hz)
    return [
        Chunk(
            first_sample=first,
            t0_ns=start_ns + round(first * S / source.fs_hz),
            fs_hz=source.fs_hz,
            counts_per_mv=source.counts_per_mv,
            samples=counts[first : first + n].astype("<i2").tobytes(),
        )
        for first in range(0, counts.size, n)
    ]


def said(sender: Sender, name: str, time_ns: int, **what: str) -> None:
    body = WearerEvent(id=name, time_ns=time_ns, **what)
    answer = sender.client.post("/api/ingest/v1/events", json={**_plain(body)})
    assert answer.status_code == 202, answer.text


def _plain(event: WearerEvent) -> dict[str, object]:
    return {"id": event.id, "time_ns": event.time_ns, "kind": event.kind, "text": event.text}


def marked(page: Page, canvas: str) -> int:
    return int(page.locator(canvas).evaluate(SAID))


@pytest.mark.slow
@pytest.mark.parametrize("stack", ["embedded and sqlite"], indirect=True)
def test_a_symptom_reaches_trace_list_report_and_export(
    browser: Browser, stack: Stack, tmp_path: Path
) -> None:
    stack.start("process", "--workers", "1")
    broker, path = stack.environment["ECGWATCH_BROKER"], tmp_path / "events.db"
    token = People(broker).device("h10-1", "ada", ago_s=SIGNAL_S + 20)
    start_ns = time.time_ns() - (SIGNAL_S + 5) * S
    monitor = Server(broker, partial(SqliteSink, path))
    with running(broker) as server:
        sender = Sender(server.url, token)
        chunks = fibrillating(start_ns)
        deadline = time.monotonic() + 30
        while sender.post(encode_chunks(chunks[:1])).status_code != 202:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        stream = iter(chunks)
        while part := list(islice(stream, 20)):
            assert sender.post(encode_chunks(part)).status_code == 202
        felt_ns = start_ns + (AF_FROM_S + 35) * S
        said(sender, "j1", felt_ns, kind="symptom", text="heart races")
        with opened(browser, f"{monitor.url}patient?id=ada") as page:
            symptom = page.locator(".alarm-list li[data-kind=symptom]")
            expect(symptom.locator(".text")).to_have_text("Symptom: heart races")
            felt = "Atrial fib · by h10-1"  # the store lags, and is read again every 15 s
            expect(symptom.locator(".state")).to_have_text(felt, timeout=90_000)
            assert marked(page, ".trace") == 0  # it was over half a minute ago
            said(sender, "j2", start_ns + (SIGNAL_S - 12) * S, kind="note", text="sat down")
            note = page.locator(".alarm-list li[data-kind=note]")
            expect(note.locator(".text")).to_have_text("Note: sat down")
            eventually(page, lambda: marked(page, ".trace"), lambda n: n > 100)
            shot(page, "journal")
            symptom.locator(".open").click()
            expect(page.locator(".badge")).to_contain_text("History")
            eventually(page, lambda: marked(page, ".past"), lambda n: n > 100)
            eventually(page, lambda: marked(page, ".trend canvas >> nth=0"), lambda n: n > 20)
            shot(page, "journal-history")
        with opened(browser, monitor.url) as page:
            expect(page.locator(".tile .quality")).not_to_have_text("")
        stored_by = time.monotonic() + 90
        while "j2" not in {e.id for e in stack.sink.read(JournalEntry, "ada")}:
            assert time.monotonic() < stored_by
            time.sleep(0.3)
        period = {"from": start_ns // 10**6, "to": start_ns // 10**6 + SIGNAL_S * 1000}
        report = httpx.get(f"{monitor.url}api/patients/ada/report", params=period).text
    monitor.stop()
    assert "heart races" in report
    assert "Symptom: heart races" in report  # over its strip
    assert "Note: sat down" in report
    stack.run("export", "--out", tmp_path / "out")
    with (tmp_path / "out" / "journal.csv").open() as file:
        rows = {row["kind"]: row for row in csv.DictReader(file)}
    assert rows["symptom"] == {
        "record": "ada",
        "time": rows["symptom"]["time"],
        "time_s": str(AF_FROM_S + 35),
        "kind": "symptom",
        "by": "h10-1",
        "text": "heart races",
        "rhythm": "AFIB",
    }
    assert rows["note"]["rhythm"].startswith("AFIB")
    assert rows["admitted"]["record"] == "ada"
    assert rows["admitted"]["time_s"] == ""
    times = ("--from", "2026-01-01", "--to", "2100-01-01")
    stack.run("report", "ada", *times, "--out", tmp_path / "report.html")
    assert "heart races" in (tmp_path / "report.html").read_text()
    assert any(e.label == "AFIB" for e in stack.sink.read(Rhythm, "ada"))
    assert [e.id for e in stack.sink.read(JournalEntry, "ada") if e.by == "h10-1"] == ["j1", "j2"]
