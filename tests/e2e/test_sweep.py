"""The sweep alone, with samples and beats put into it by hand."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.e2e.monitor_browser import opened, tile, ward
from tests.e2e.monitor_fakes import Story

# The pen is at 2 s when everything is drawn again; the beats are at 1 s and at 3 s. Then the pen goes on to 4 s.
BEATS_THAT_WAIT = """async () => {
  const { Sweep } = await import("/static/trace/sweep.js"),
    { Samples } = await import("/static/trace/samples.js");
  const samples = new Samples({ fs: 100, countsPerMv: 100, first: 0 });
  samples.put({ first: 0, t0: 0, leadOff: false, samples: new Int16Array(600) });
  const beats = [{ t: 1000, label: "N" }, { t: 3000, label: "V" }];
  const patient = {
    samples, beats, newBeats: [...beats], references: [], newReferences: [],
    journal: new Map(), newJournal: [], playhead: { at: (now) => now },
  };
  const sweep = new Sweep(patient, { rows: 1, seconds: 10 });
  const context = document.createElement("canvas").getContext("2d");
  sweep.place(context, 0, 0, 300, 100, 1);
  const waiting = (at) => {
    sweep.draw(at);
    return patient.newBeats.map((beat) => beat.t);
  };
  const first = waiting(2);
  sweep.redraw();
  return [first, waiting(2.5), waiting(4)];
}"""


def test_a_beat_ahead_of_the_pen_waits_for_it_through_a_full_redraw(browser: Browser) -> None:
    with ward([Story("Bed 1")]) as (server, _), opened(browser, server.url) as page:
        assert page.evaluate(BEATS_THAT_WAIT) == [[3000], [3000], []]


# The seconds that a tile made now, and one that was there before the choice, sweep.
SECONDS = """async () => {
  const { Tile } = await import("/static/ward/tile.js");
  const made = new Tile({ id: "x" }, { open() {}, limits: null });
  const before = made.sweep.options.seconds;
  window.chosen = () => (made.sweepAgain(), [before, made.sweep.options.seconds]);
}"""


def test_the_seconds_of_a_tile_are_chosen_in_the_settings(browser: Browser) -> None:
    with ward([Story("Bed 1")]) as (server, _), opened(browser, server.url) as page:
        expect(tile(page, "Bed 1")).to_be_visible()
        page.evaluate(SECONDS)
        page.keyboard.press(",")
        page.get_by_label("10 s").check()
        assert page.evaluate("window.chosen()") == [8, 10]
        page.reload()
        expect(tile(page, "Bed 1")).to_be_visible()
        page.get_by_role("button", name="Settings").click()
        expect(page.get_by_label("10 s")).to_be_checked()


# Rows in which the mark of a Q beat is painted, above the trace: in paced rhythm, and in another.
MARKS = """async () => {
  const { drawBeat } = await import("/static/trace/marks.js");
  return [true, false].map((paced) => {
    const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
    drawBeat(context, { label: "Q", paced }, 50, 0, 1, false);
    const { data, width } = context.getImageData(0, 0, canvas.width, canvas.height);
    const rows = new Set();
    data.forEach((value, i) => { if (i % 4 === 3 && value) rows.add(Math.floor(i / 4 / width)); });
    return rows.size;
  });
}"""
# The level beneath a row's top of 100 px, of peaks that are lower and higher.
LEVELS = """async () => {
  const { levelOf } = await import("/static/trace/gain.js");
  return [20, 50, 70].map((up) => levelOf(100, up, 1));
}"""


def test_a_paced_beat_has_a_spike_and_peaks_leave_room_for_the_letters(browser: Browser) -> None:
    with ward([Story("Bed 1")]) as (server, _), opened(browser, server.url) as page:
        assert page.evaluate(MARKS) == [14, 7]
        assert page.evaluate(LEVELS) == [60, 80, 80]
