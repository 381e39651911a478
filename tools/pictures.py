"""The pictures of the README: `python tools/pictures.py` writes docs/images/*.webp.

Starts the demo's ward with simulated patients only, waits until alarms have come and their strips
are stored, and looks at it with Chromium (apt-get install chromium; pip install -e '.[dev]').
"""

from __future__ import annotations

import argparse
import io
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from ecgwatch.demo import Children, start_ward
from ingest.embedded import EmbeddedBroker

FOLDER = Path(__file__).parents[1] / "docs/images"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
LAPTOP, PHONE = (1440, 900), (390, 844)
SETTLE_MS = 12_000  # the trace has gone over its rows once
BED = "Bed 3"  # premature beats: something to see in every view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--after", type=float, default=180.0, help="seconds of ward before the pictures"
    )
    after_s = parser.parse_args().after
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedBroker() as broker,
        Children(Path(folder)) as children,
        sync_playwright() as playwright,
    ):
        at = ("--broker", broker.address, "--sink", f"sqlite:{folder}/ecgwatch.db")
        children.start("process", "process", *at, "--workers", "1")
        page = children.start("monitor", "monitor", "--port", "0", *at, stdout=subprocess.PIPE)
        start_ward(children, broker.address, lambda _: False)
        assert page.stdout is not None
        address = page.stdout.readline().decode().strip().removeprefix("monitor: ")
        time.sleep(after_s)
        children.check()
        take(playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS), address.rstrip("/"))


def take(browser: Browser, address: str) -> None:
    """Take all six."""
    laptop, phone = look(browser, LAPTOP), look(browser, PHONE, touch=True)
    shoot(laptop, f"{address}/", "ward")
    shoot(laptop, f"{address}/worklist", "worklist", 3000)
    shoot(laptop, f"{address}/patient?id={quote(BED)}", "patient")
    laptop.locator(".alarm-list li .open").last.click()
    shoot(laptop, "", "review", 4000)
    found = laptop.request.get(f"{address}/api/alarms").json()["alarms"]
    lethal = next(a for a in found if a["kind"] == "ventricular_fibrillation")
    path = f"alarm?patient={quote(lethal['patient'])}&id={quote(lethal['id'], safe='')}"
    shoot(phone, f"{address}/{path}", "alarm", 5000)
    now = int(time.time() * 1000)
    period = f"from={now - 180_000}&to={now}"
    shoot(laptop, f"{address}/api/patients/{quote(BED)}/report?{period}", "report", 3000)


def look(browser: Browser, size: tuple[int, int], touch: bool = False) -> Page:
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark",
        has_touch=touch,
        is_mobile=touch,
        device_scale_factor=2 if touch else 1,
    )
    return context.new_page()


def shoot(page: Page, url: str, name: str, after_ms: int = SETTLE_MS) -> None:
    """Save what a page shows, small enough for a repository."""
    if url:
        page.goto(url)
    page.wait_for_timeout(after_ms)
    image = Image.open(io.BytesIO(page.screenshot()))
    image.save(FOLDER / f"{name}.webp", quality=82, method=6)
    print(f"{name}: {(FOLDER / f'{name}.webp').stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
