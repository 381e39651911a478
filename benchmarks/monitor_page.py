#!/usr/bin/env python3
"""Measure how smooth the monitor's page is: frame times, main-thread share, sample-to-pixel delay,
wire bytes and memory, in Chromium.

    python benchmarks/monitor_page.py [--patients 1 50] [--seconds 30] [--hour-of 50] [--chromium /usr/bin/chromium]

Live figures: a broker inside this process, made-up 250-Hz streams in chunks of 0.5 s with their
beats, vitals and rhythm, the monitor's server, and a headless Chromium of 1920 x 1080, all on this
machine. Headless Chromium without a GPU paints in software on the processor: a desktop with a GPU
is faster. Frame times are the intervals between animation frames; the main thread's share is CDP's
TaskDuration; a sample's delay is from its time (when a device measured it) to the frame that draws
it, to which the screen adds one frame. Memory: an hour of stream (samples, beats, vitals, rhythm)
is pushed into the page's own WebSocket handler as fast as it takes it; the JavaScript heap after a
garbage collection is compared before and after.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from ingest.embedded import EmbeddedBroker
from tests.e2e.monitor_browser import FLAGS, Server, ward
from tests.e2e.monitor_fakes import Story

SETTLE_S = 12.0  # fetches, first pictures, the pace of the play heads
SIZE = {"width": 1920, "height": 1080}

PROBE = """
window.frames_ = []; window.spent = []; window.bytes = 0;
const ask = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (job) => ask((at) => {
  const begin = performance.now();
  job(at);
  frames_.push(at); spent.push(performance.now() - begin);
});
const Socket = window.WebSocket;
window.WebSocket = class extends Socket {
  constructor(...given) {
    super(...given);
    this.addEventListener('message', ({ data }) => { bytes += typeof data === 'string' ? data.length : data.byteLength; });
  }
};
"""

DELAYS = """
async () => {
  const { Sweep } = await import('/static/trace/sweep.js'), draw = Sweep.prototype.draw;
  window.delays = [];
  Sweep.prototype.draw = function (now) {
    const before = this.drawn;
    draw.call(this, now);
    if (this.samples && this.drawn > before && before > 0) delays.push(Date.now() - this.samples.timeOf(before));
  };
}
"""

START = "() => { frames_.length = spent.length = delays.length = 0; bytes = 0; }"

READ = """
() => {
  const at = (list, p) => list.length ? [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(p * list.length))] : null;
  const gaps = frames_.slice(1).map((t, k) => t - frames_[k]);
  const of = (list) => ({ p50: at(list, 0.5), p95: at(list, 0.95), p99: at(list, 0.99), most: at(list, 1) });
  return { frames: gaps.length, gaps: of(gaps), late: gaps.filter((gap) => gap > 34).length, spent: of(spent), delays: of(delays), bytes };
}
"""

# A fake WebSocket inside the page that makes up N patients and sends `window.flood(seconds)` of
# stream as fast as the page takes it.
HAND_FED = """
(patients) => {
  const fs = 250, wave = new Int16Array(fs);
  for (let k = 0; k < fs; k++) wave[k] = 30 * Math.sin(k / 20) + (k > 100 && k < 106 ? 200 : 0);
  let socket = null, at = 0;
  const t0 = Date.now();
  window.WebSocket = class {
    static OPEN = 1; readyState = 1;
    constructor() { socket = this; setTimeout(() => { this.onopen(); this.say({ type: 'hello', protocol: 1, commands: [] }); }); }
    say(message) { this.onmessage({ data: JSON.stringify(message) }); }
    send(text) {
      const empty = { beats: [], alarms: [], silenced: [], edits: [], score: null, vitals: null, rhythm: null, ended: false };
      const known = { stream: 1, device: 'd', lead: 'ECG', samples_age_s: null, vitals_age_s: null, history_loaded: true };
      JSON.parse(text).watch.forEach((id, k) => this.say({ type: 'patient', id, number: k + 1, ...known, ...empty }));
    }
    close() {}
  };
  const life = () => socket.say({ type: 'ward', now: Date.now(), broker: true, patients, revision: 1, worst: [],
    alarms: { high: 0, medium: 0, low: 0, technical: 0 } });
  setInterval(() => { if (socket) life(); }, 1000);
  const alarm = { kind: 'hr_high', priority: 'medium', technical: false, over: true, latching: false, announced: true, standing: false,
    step: 'end', level: 0, acknowledged: null, acknowledged_by: '', silenced_until: null, value: 130, limit: 120, text: 'HR 130 > 120' };
  const second = () => {
    const events = [];
    for (let p = 1; p <= patients; p++) {
      for (const half of [0, 1]) {
        const buffer = new ArrayBuffer(48 + fs), view = new DataView(buffer);
        view.setUint8(0, 1); view.setUint32(4, p, true); view.setUint32(8, 1, true); view.setUint32(12, fs / 2, true);
        view.setFloat64(16, t0 + at * 1000 + half * 500, true); view.setFloat64(24, at * fs + half * fs / 2, true);
        view.setFloat64(32, fs, true); view.setFloat32(40, 200, true);
        new Int16Array(buffer, 48).set(wave.subarray(half * fs / 2, (half + 1) * fs / 2));
        socket.onmessage({ data: buffer });
      }
      const t = t0 + at * 1000;
      events.push({ p, beat: { t: t + 412, label: at % 7 ? 'N' : 'V', rr: 1000 } });
      events.push({ p, vitals: { t, hr: 60, reason: '', sdnn: 40, rmssd: 30, quality: 1 } });
      events.push({ p, rhythm: { start: t0, end: t, label: 'N', probability: 0.9 } });
      if (at % 60 === 0) events.push({ p, alarm: { ...alarm, id: `${p}:hr_high:${t}`, onset: t, raised: t, changed: t, end: t + 1 } });
    }
    socket.say({ type: 'events', events });
    at++;
  };
  window.flood = async (seconds) => {
    for (let k = 0; k < seconds; k++) {
      second();
      if (k % 10 === 9) await new Promise((resolve) => setTimeout(resolve));
    }
    return at;
  };
}
"""


def metrics(cdp: CDPSession) -> dict[str, float]:
    return {m["name"]: m["value"] for m in cdp.send("Performance.getMetrics")["metrics"]}


def live(browser: Browser, patients: int, seconds: float, path: str = "") -> dict[str, Any]:
    """Measure the page with this number of live patients."""
    stories = [
        Story(f"Bed {k}", bpm=55 + k % 50, pattern="NNNNNV" if k % 5 == 0 else "N")
        for k in range(1, patients + 1)
    ]
    with ward(stories, seconds=seconds + 90) as (server, _):
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        page.add_init_script(PROBE)
        page.goto(server.url + path)
        page.evaluate(DELAYS)
        page.wait_for_timeout(SETTLE_S * 1000)
        cdp = page.context.new_cdp_session(page)
        cdp.send("Performance.enable")
        before = metrics(cdp)
        page.evaluate(START)
        page.wait_for_timeout(seconds * 1000)
        read: dict[str, Any] = page.evaluate(READ)
        after = metrics(cdp)
        passed = after["Timestamp"] - before["Timestamp"]
        for name in ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration"):
            read[name] = (after[name] - before[name]) / passed
        read["passed"] = passed
        page.close()
    return read


def heap_mb(page: Page) -> float:
    cdp = page.context.new_cdp_session(page)
    cdp.send("HeapProfiler.collectGarbage")
    cdp.send("Performance.enable")
    return metrics(cdp)["JSHeapUsedSize"] / 1e6


def an_hour(browser: Browser, patients: int) -> tuple[float, float, float]:
    """(MB of heap after a minute of stream, MB after an hour, seconds the hour took)."""
    names = [{"id": f"Bed {k}", "rhythm": None, "alarm": None} for k in range(1, patients + 1)]
    with EmbeddedBroker() as broker:
        server = Server(broker.address)
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        page.route(
            "**/api/patients?*",
            lambda route: route.fulfill(json={"total": patients, "offset": 0, "patients": names}),
        )
        page.route("**/limits", lambda route: route.fulfill(json={"fields": []}))
        page.add_init_script(f"({HAND_FED})({patients})")
        page.goto(server.url)
        page.locator(".tile").nth(patients - 1).wait_for()
        page.evaluate("flood(60)")
        page.wait_for_timeout(1000)
        first, began = heap_mb(page), time.monotonic()
        for _ in range(59):
            page.evaluate("flood(60)")
        took = time.monotonic() - began
        page.wait_for_timeout(1000)
        last = heap_mb(page)
        page.close()
        server.stop()
    return first, last, took


def as_markdown(title: str, patients: int, read: dict[str, Any]) -> str:
    def ms(of: dict[str, float]) -> str:
        return "  ".join(f"{name} {of[name]:6.1f}" for name in ("p50", "p95", "p99", "most"))

    seconds = read["passed"]
    return "\n".join(
        [
            f"{title}",
            f"  frame interval, ms         {ms(read['gaps'])}   {read['frames'] / seconds:.1f} a second, {read['late']} over 34 ms",
            f"  our script per frame, ms   {ms(read['spent'])}",
            f"  sample to its frame, ms    {ms(read['delays'])}",
            f"  main thread busy           {read['TaskDuration']:.1%}  (script {read['ScriptDuration']:.1%}, "
            f"layout {read['LayoutDuration']:.1%}, style {read['RecalcStyleDuration']:.1%})",
            f"  bytes per patient-second   {read['bytes'] / seconds / patients:.0f}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, nargs="*", default=[1, 50])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument(
        "--hour-of",
        type=int,
        default=50,
        help="patients whose hour is pushed through the page; 0: none",
    )
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=FLAGS)
        print(
            f"Chromium {browser.version}, headless, software rendering, {SIZE['width']} x {SIZE['height']}"
        )
        for patients in given.patients:
            print(
                as_markdown(
                    f"ward, {patients} live at 250 Hz, {given.seconds:.0f} s",
                    patients,
                    live(browser, patients, given.seconds),
                ),
                flush=True,
            )
        if 1 in given.patients:
            print(
                as_markdown(
                    "one patient's page", 1, live(browser, 1, given.seconds, "patient?id=Bed%201")
                ),
                flush=True,
            )
        if given.hour_of:
            first, last, took = an_hour(browser, given.hour_of)
            print(
                f"JavaScript heap, {given.hour_of} patients: {first:.1f} MB after a minute, {last:.1f} MB after an hour"
            )
            print(f"  (the hour was pushed through in {took:.0f} s)")
        browser.close()


if __name__ == "__main__":
    main()
