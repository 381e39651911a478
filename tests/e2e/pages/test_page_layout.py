"""Every view at every size: nothing is cut or pushed off the screen, a finger finds its target, and
axe-core finds nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.axe import violations
from tests.e2e.monitor_browser import Server, eventually, opened, shot

VIEWS = ["", "patient?id=Bed%203", "worklist", "alarm?patient=Bed%204&id=BED_4"]


class Screen(NamedTuple):
    """A screen in CSS pixels; a page at 200 % has half of them at twice the density."""

    name: str
    width: int
    height: int
    touch: bool = False
    density: float = 1.0

    def __str__(self) -> str:
        return self.name


QUICK = [
    Screen("phone", 390, 844, touch=True, density=2.0),
    Screen("laptop", 1440, 900),
    Screen("projector", 2560, 1440),
]
MORE = [
    Screen("phone on its side", 844, 390, touch=True, density=2.0),
    Screen("tablet", 1024, 768),
    Screen("laptop at 200 %", 720, 450, density=2.0),
    Screen("large", 1920, 1080),
]
SCREENS = [*QUICK, *(pytest.param(screen, marks=pytest.mark.slow) for screen in MORE)]
AXE = [
    (390, "dark"),
    (1440, "light"),
    *(pytest.param(*case, marks=pytest.mark.slow) for case in [(390, "light"), (1440, "dark")]),
]

# What is outside of the window, cut although there is room, or too small for a finger.
LOOK = """
(touch) => {
  const found = [], wide = innerWidth;
  const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0;
  const words = (e) => (e.textContent || e.getAttribute('aria-label') || '').trim().slice(0, 40);
  const name = (e) => `${e.tagName.toLowerCase()}${e.id ? '#' + e.id : ''}.${e.className} "${words(e)}"`;
  const search = document.getElementById('search'), probe = document.createElement('canvas').getContext('2d');
  probe.font = getComputedStyle(search).font;
  if (shown(search) && probe.measureText(search.placeholder).width > search.clientWidth - 16)
    found.push(`the hint "${search.placeholder}" is cut in ${search.clientWidth} px`);
  if (document.documentElement.scrollWidth > wide) found.push(`the page is ${document.documentElement.scrollWidth} px wide`);
  const main = document.querySelector('main');
  if (main.scrollWidth > main.clientWidth) found.push(`the view is ${main.scrollWidth} px wide, its room ${main.clientWidth}`);
  for (const id of ['settings', 'help', 'clock', 'sound', 'who', 'worklist'])
    if (!shown(document.getElementById(id))) found.push(`#${id} is not shown`);
  for (const e of document.querySelectorAll('body > header *, .title *, .tile *, .worklist-bar *, .tools *, .trend-bar *, aside *')) {
    if (!shown(e) || e.closest('.unseen, canvas, svg')) continue;
    const box = e.getBoundingClientRect();
    if (box.right > wide + 0.5 || box.left < -0.5) found.push(`off the screen: ${name(e)}`);
  }
  for (const e of document.querySelectorAll('.name, .alarm, .line, .technical, #elsewhere, h1, .text, .rhythm, .what a, button, .button')) {
    if (!shown(e) || e.closest('.unseen') || e.scrollWidth <= e.clientWidth + 1) continue;
    const around = [...e.parentElement.children].filter(shown).map((c) => c.getBoundingClientRect());
    const parent = e.parentElement.getBoundingClientRect();
    const used = Math.max(...around.map((b) => b.right)) - Math.min(...around.map((b) => b.left));
    if (parent.width - used > 24) found.push(`cut with ${Math.round(parent.width - used)} px of room: ${name(e)}`);
    if (getComputedStyle(e).textOverflow !== 'ellipsis' && e.clientWidth) found.push(`cut without a sign: ${name(e)}`);
  }
  if (touch)
    for (const e of document.querySelectorAll('a, button, select, input, summary')) {
      if (!shown(e)) continue;
      const box = (e.closest('label') ?? e).getBoundingClientRect();
      if (Math.min(box.width, box.height) < 43.5) found.push(`${Math.round(box.width)} x ${Math.round(box.height)} px: ${name(e)}`);
    }
  return found;
}
"""


def opened_view(page: Page, view: str) -> None:
    """Wait until the view shows what it is for."""
    ready = {"": ".tile .rate", "patient": ".big .rate", "worklist": ".what a", "alarm": "h1"}
    shown = page.locator(ready[view.partition("?")[0]]).first
    expect(shown).not_to_have_text("")
    expect(shown).not_to_have_text("Loading …")
    expect(page.locator("#chips .chip").first).to_be_visible()


def bed_4s_alarm(page: Page, server: Server) -> str:
    def found() -> list[str]:
        answer = page.request.get(f"{server.url}api/alarms").json()
        return [str(a["id"]) for a in answer["alarms"] if a["patient"] == "Bed 4"]

    return eventually(page, found, bool)[0]


def each_view(page: Page, server: Server) -> Any:
    for view in VIEWS:
        page.goto(server.url + view.replace("BED_4", bed_4s_alarm(page, server)))
        opened_view(page, view)
        yield view.partition("?")[0] or "ward"


@pytest.mark.parametrize("screen", SCREENS, ids=str)
def test_nothing_is_cut_at(browser: Browser, eight_beds: Server, screen: Screen) -> None:
    found: dict[str, list[str]] = {}
    with opened(
        browser,
        eight_beds.url,
        screen.width,
        screen.height,
        device_scale_factor=screen.density,
        has_touch=screen.touch,
        is_mobile=screen.touch,
    ) as page:
        for view in each_view(page, eight_beds):
            seen = page.evaluate(LOOK, screen.touch)
            if seen:
                found[view] = seen
            shot(page, f"{view}-{screen.width}x{screen.height}", 1500)
    assert not found, "\n".join(
        f"{view}: {line}" for view, lines in found.items() for line in lines
    )


@pytest.mark.parametrize(("width", "theme"), AXE)
def test_axe_finds_nothing(browser: Browser, eight_beds: Server, width: int, theme: str) -> None:
    found: dict[str, list[Any]] = {}
    with opened(browser, eight_beds.url, width, 900, reduced_motion="reduce") as page:
        page.evaluate("t => localStorage.setItem('ecgwatch', JSON.stringify({theme: t}))", theme)
        for view in each_view(page, eight_beds):
            if seen := violations(page):
                found[view] = seen
    assert not found, "\n".join(
        f"{view}: {line}" for view, lines in found.items() for line in lines
    )


# The element that has the focus: what it is, and whether one sees that it has it.
FOCUSED = """
() => {
  const e = document.activeElement, seen = getComputedStyle(e);
  if (!e || e === document.body) return null;
  e.dataset.reached = 'yes';
  return { what: e.outerHTML.slice(0, 90), seen: seen.outlineStyle !== 'none' && parseFloat(seen.outlineWidth) > 0 };
}
"""
MISSED = """
() => [...document.querySelectorAll('a[href], button:not(:disabled), select, input, summary, [tabindex="0"]')]
  .filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.dataset.reached)
  .map((e) => e.outerHTML.slice(0, 120))
"""


def test_the_tabulator_reaches_everything_and_shows_where_it_is(
    browser: Browser, eight_beds: Server
) -> None:
    with opened(browser, eight_beds.url) as page:
        for view in each_view(page, eight_beds):
            page.evaluate("document.querySelector('a.brand').focus({ focusVisible: true })")
            while (at := page.evaluate(FOCUSED)) is not None:  # None: past the last one
                assert at["seen"], f"{view}: no outline: {at['what']}"
                page.keyboard.press("Tab")
            assert page.evaluate(MISSED) == [], view
