"""What the tests of the page share: the monitor's server on a thread, a page of a real Chromium,
and looks at what it has painted."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import Browser, Page, expect

from dashboards.monitor.http.access import Access, Token
from dashboards.monitor.http.serve import serve
from dashboards.monitor.http.server import create_app
from dashboards.monitor.live.feed import KafkaFeed
from ingest.clock import SystemClock
from ingest.embedded import EmbeddedBroker
from ingest.operator import OperatorOutlet
from ingest.registry.device_states import read_states
from ingest.registry.reader import RegistryFollower
from stream_processor.notifications.push_store import PushStore
from stream_processor.pipeline.alarms.profiles import Profiles
from stream_processor.sinks.base import Sink
from stream_processor.sinks.memory import MemorySink
from tests.e2e.monitor_fakes import Story, Ward

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
# a folder: keep pictures of what was tested, for a person to look at
SHOTS = os.environ.get("MONITOR_SHOTS")
WAIT_MS = 30_000  # for a machine that does much else
# What the console may say: a connection that a test has cut, answers that the page shows in words,
# a hint for canvas tests, and requests that Chromium drops whenever a network of this machine comes
# or goes (containers).
HARMLESS = (
    "ERR_CONNECTION_REFUSED",
    "ERR_CONNECTION_RESET",
    "ERR_NETWORK_CHANGED",
    "WebSocket connection",
    "the server responded with a status of 4",
    "getImageData",
)

expect.set_options(timeout=WAIT_MS)
T = TypeVar("T")


class Server:
    """The monitor on a thread of its own; can be stopped and started again on the same port."""

    def __init__(
        self,
        broker: str,
        open_sink: Callable[[], Sink] = MemorySink,
        tokens: Mapping[str, Token] | None = None,
        push: PushStore | None = None,
    ) -> None:
        self.push = push
        self.broker = broker
        self.open_sink = open_sink
        self.tokens = tokens or {}
        self.port = 0
        self.start()

    def start(self) -> None:
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self, ready: threading.Event) -> None:
        def announced(url: str) -> None:
            self.url = url
            self.port = int(url.rstrip("/").rsplit(":", 1)[1])
            ready.set()

        async def main() -> None:
            clock, follower = SystemClock(), RegistryFollower(self.broker)
            follower.begin()
            app = create_app(
                KafkaFeed(self.broker, clock),
                self.open_sink,
                clock,
                send=OperatorOutlet(self.broker).send,
                profiles=Profiles.load(None),
                access=Access(self.tokens, clock),
                commands=["ecgwatch simulate normal"],
                registry=lambda: follower.registry,
                read_states=partial(read_states, self.broker),
                join_url="/join",
                push=self.push,
            )
            self._task = asyncio.create_task(serve(app, "127.0.0.1", self.port, announced))
            await asyncio.gather(self._task, return_exceptions=True)
            follower.stop()

        self._loop.run_until_complete(main())
        self._loop.close()


@contextmanager
def opened(
    browser: Browser, url: str, width: int = 1440, height: int = 810, **context: Any
) -> Iterator[Page]:
    """A page of a browser of its own memory, that must not say a word on the console but HARMLESS
    ones."""
    owner = browser.new_context(
        viewport={"width": width, "height": height}, **({"color_scheme": "dark"} | context)
    )
    page = owner.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(url)
    yield page
    owner.close()
    loud = [text for text in said if not any(word in text for word in HARMLESS)]
    assert not loud, loud


@contextmanager
def ward(
    stories: list[Story], sink: MemorySink | None = None, **how: Any
) -> Iterator[tuple[Server, Ward]]:
    """A broker, the stories streaming, and a server that reads `sink`."""
    with EmbeddedBroker() as broker, Ward(broker.address, stories, **how) as streams:
        server = Server(broker.address, (lambda: sink) if sink else MemorySink)
        yield server, streams
        server.stop()


def eventually(page: Page, look: Callable[[], T], fits: Callable[[T], bool]) -> T:
    """What is seen once it fits."""
    deadline = time.monotonic() + WAIT_MS / 1000
    while not fits(seen := look()):
        assert time.monotonic() < deadline, f"still {seen}"
        page.wait_for_timeout(50)
    return seen


def until(page: Page, expression: str, wanted: Any) -> None:
    """Wait for the value of an expression (the page's policy forbids Playwright's own
    wait_for_function)."""
    eventually(page, lambda: page.evaluate(expression), lambda value: value == wanted)


def tile(page: Page, name: str) -> Any:
    return page.locator(".tile").filter(has=page.locator(f'.name[title="{name}"]'))


def shot(page: Page, name: str, after_ms: int = 0) -> None:
    """A picture for a person, if any are kept; a trace has more to show after a while."""
    if SHOTS:
        page.wait_for_timeout(after_ms)
        page.screenshot(path=f"{SHOTS}/{name}.png")


def set_prefs(page: Page, **prefs: Any) -> None:
    """As if the person had chosen them, and reload."""
    page.evaluate(
        "given => localStorage.setItem('ecgwatch', JSON.stringify({...JSON.parse(localStorage.getItem('ecgwatch') ?? '{}'), ...given}))",
        prefs,
    )
    page.reload()


# Painted share of the columns of a part of a canvas: (canvas, [left, top, right, bottom] as
# shares).
COLUMNS = """
(c, [left, top, right, bottom]) => {
  const x0 = Math.ceil(left * c.width), y0 = Math.ceil(top * c.height);
  const w = Math.floor(right * c.width) - x0, h = Math.floor(bottom * c.height) - y0;
  const data = c.getContext('2d').getImageData(x0, y0, w, h).data;
  const painted = (x) => { for (let y = 0; y < h; y++) if (data[4 * (y * w + x) + 3] > 60) return 1; return 0; };
  let n = 0;
  for (let x = 0; x < w; x++) n += painted(x);
  return n / w;
}
"""

# Of the ward's canvas within a tile's strip: painted pixels, the share of them that is coloured
# (not grey), the share of columns painted.
STRIP = """
(tile) => {
  const canvas = document.querySelector('.ward > canvas');
  const box = tile.querySelector('.strip').getBoundingClientRect(), from = canvas.getBoundingClientRect(), k = canvas.width / from.width;
  const wide = Math.floor(box.width * k), tall = Math.floor(box.height * k), columns = new Set();
  const data = canvas.getContext('2d').getImageData((box.left - from.left) * k, (box.top - from.top) * k, wide, tall).data;
  let painted = 0, coloured = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] <= 60) continue;
    painted++;
    columns.add((i / 4) % wide);
    if (Math.abs(data[i + 1] - data[i]) > 40) coloured++;
  }
  return { painted, coloured: coloured / Math.max(1, painted), columns: columns.size / wide };
}
"""


def painted(page: Page, selector: str) -> int:
    """Number of painted pixels of a canvas."""
    return int(
        page.locator(selector).first.evaluate(
            "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((v, i) => i % 4 === 3 && v > 60).length"
        )
    )
