"""A record in a browser: it plays, stands still, beats are edited by keys and saved."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import wfdb
from playwright.sync_api import Browser, expect

from ingest.simulator.generate import write_wfdb
from ingest.simulator.scenario import load as scenario
from tests.e2e.monitor_browser import eventually, opened, shot

# bright pixels right of the calibration pulses
INK = """(c) => {
  const { data } = c.getContext("2d").getImageData(60, 0, c.width - 60, c.height);
  let n = 0;
  for (let k = 0; k < data.length; k += 4) if (data[k] > 200 && data[k + 1] > 200) n++;
  return n;
}"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The page of `ecgwatch view` on a simulated record."""
    write_wfdb(scenario("pvcs"), tmp_path, "made", duration_s=60.0, seed=1)
    command = [sys.executable, "-m", "ecgwatch", "view", "made", "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    yield process.stdout.readline().removeprefix("view: ").strip()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_record_plays_and_its_beats_are_edited_and_saved(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    with opened(browser, address) as page:
        expect(page.locator(".player button").first).to_have_text("Pause")
        clock = page.locator(".tools .time")
        begun = eventually(page, clock.inner_text, lambda text: text.startswith("00:00:"))
        eventually(page, clock.inner_text, lambda text: text != begun)
        shot(page, "view-playing", 1500)
        page.keyboard.press("Space")
        expect(page.locator(".player button").first).to_have_text("Play")
        expect(page.locator(".badge")).to_contain_text("Paused")
        page.get_by_label("Go to a time of the record").fill("0:20")
        page.keyboard.press("Enter")
        expect(page.locator(".badge")).to_contain_text("00:00:20")
        page.keyboard.press("E")
        expect(page.locator(".beat-editor .beat").nth(5)).to_be_visible()
        expect(page.locator(".beat-editor .reference").nth(5)).to_be_visible()
        ink = page.locator(".beat-editor canvas").evaluate(INK)
        assert ink > 3000  # the trace, not the pulses of calibration alone
        page.keyboard.press("ArrowRight")
        chosen = page.locator(".beat-editor .beat[aria-pressed=true]")
        before = chosen.inner_text()
        page.keyboard.press("f")
        page.get_by_role("textbox", name="Your name").fill("Ann")
        page.keyboard.press("Enter")
        expect(page.locator(".beat-editor .feedback")).to_contain_text("Recorded")
        expect(chosen).to_have_text("F")
        assert before != "F"
        shot(page, "view-edited")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#toast")).to_contain_text(re.compile("Saved .* 1 edit"))
    found = wfdb.rdann(str(tmp_path / "var/view/made"), "ecw")
    assert found.symbol.count("F") == 1
