"""Who may see and do what, and whether everybody can: sign-in, roles, contrast, focus, a phone,
light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboards.monitor.http.access import add_token, read_tokens
from ingest.embedded import EmbeddedBroker
from tests.e2e.monitor_browser import Server, opened, set_prefs, shot, tile
from tests.e2e.monitor_fakes import Story, Ward

BED_3 = "patient?id=Bed%203"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A monitor that wants tokens, and the tokens of Grace (acknowledge) and Visitor (view)."""
    path: Path = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    tokens = {
        name: add_token(path, name, role)
        for name, role in (("Grace", "acknowledge"), ("Visitor", "view"))
    }
    with (
        EmbeddedBroker() as broker,
        Ward(broker.address, [Story("Bed 1")], seconds=600.0) as streams,
    ):
        server = Server(broker.address, tokens=read_tokens(path))
        streams.send(streams.alarm("Bed 1", "hr_high", 2, text="HR 140 > 120"))
        yield server, tokens
        server.stop()


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")


def test_a_token_lets_in_and_names_the_person(
    browser: Browser, guarded: tuple[Server, dict[str, str]]
) -> None:
    server, tokens = guarded
    with opened(browser, server.url) as page:
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        shot(page, "sign-in")
        sign_in(page, "wrong")
        expect(page.locator(".sign-in .problem")).not_to_have_text("")
        sign_in(page, tokens["Grace"])
        expect(tile(page, "Bed 1").locator(".rate")).not_to_have_text("--")
        expect(page.locator("#who-name")).to_have_text("Grace")
        page.keyboard.press(",")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_who_may_only_look_sees_no_buttons_to_act(
    browser: Browser, guarded: tuple[Server, dict[str, str]]
) -> None:
    server, tokens = guarded
    with opened(browser, f"{server.url}patient?id=Bed%201") as page:
        sign_in(page, tokens["Visitor"])
        expect(page.locator(".alarm-list li")).to_have_count(1)
        expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
        page.keyboard.press("a")
        expect(page.locator("#toast")).to_contain_text("may look, but not do this")
        page.keyboard.press("l")
        expect(page.locator("dialog input").first).to_be_disabled()


# Every text on the page against what is behind it: those below WCAG AA, 4.5, or 3 where large (24
# px, bold 18.66 px).
CONTRAST = """
() => {
  const parse = (text) => {
    const n = text.match(/[\\d.]+/g).map(Number), k = text.startsWith('color(') ? 255 : 1;
    return [n[0] * k, n[1] * k, n[2] * k, n[3] ?? 1];
  };
  const linear = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const over = (top, under) => [0, 1, 2].map((k) => top[k] * top[3] + under[k] * (1 - top[3]));
  const behind = (element) => {
    const layers = [];
    for (let e = element; e && layers.at(-1)?.[3] !== 1; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reduceRight((under, top) => over(top, under), parse(getComputedStyle(document.body).backgroundColor));
  };
  const low = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let looked = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, style = getComputedStyle(element), text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility({ visibilityProperty: true }) || element.closest('.unseen, :disabled, option')) continue;
    looked++;
    const back = behind(element), a = light(over(parse(style.color), back)), b = light(back);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), size = parseFloat(style.fontSize);
    const least = size >= 24 || (style.fontWeight >= 700 && size >= 18.66) ? 3 : 4.5;
    if (ratio < least) low.push(`${text}: ${style.color} on ${back.map(Math.round)} is ${ratio.toFixed(2)}`);
  }
  return { looked, low };
}
"""

# Of the colours that canvases paint with, against the ground: those below 3.
PAINTED = """
async () => {
  const { colour } = await import('/static/core/theme.js');
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const names = ['trace', 'off', 'dots', 'beat-N', 'beat-S', 'beat-V', 'beat-Q', 'high', 'medium', 'low', 'focus',
    'rhythm-N', 'rhythm-AFIB', 'rhythm-O', 'rhythm-VT', 'rhythm-VF', 'rhythm-none'];
  const pairs = [...names.map((name) => [name, 'ground']), ['ink', 'paper'], ['onset', 'paper']];
  return pairs.map(([a, b]) => [`${a} on ${b}`, ratio(parse(colour(a)), parse(colour(b)))]).filter(([, found]) => found < 3);
}
"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_text_and_trace_has_contrast_enough(
    browser: Browser, eight_beds: Server, scheme: str
) -> None:
    with opened(browser, eight_beds.url, color_scheme=scheme, reduced_motion="reduce") as page:
        set_prefs(page, theme=scheme)
        expect(page.locator(".tile")).to_have_count(8)
        expect(tile(page, "Bed 1").locator(".range")).not_to_have_text("")
        expect(page.locator("#chips .chip").first).to_be_visible()
        check(page)
        assert page.evaluate(PAINTED) == []
        shot(page, f"ward-{scheme}")
        page.goto(eight_beds.url + BED_3)
        expect(page.locator(".fact .quality")).not_to_have_text("--")
        check(page)
        shot(page, f"patient-{scheme}")
        page.keyboard.press("Space")
        expect(page.locator(".badge")).to_be_visible()
        page.keyboard.press("c")
        check(page)
        for key, opens in (
            ("r", ".review .said dd"),
            ("d", ".disclosure h2"),
            ("l", "dialog table"),
            ("?", "dialog kbd"),
            (",", "dialog .ruler"),
        ):
            page.keyboard.press(key)
            expect(page.locator(opens).first).to_be_visible()
            page.wait_for_timeout(300)
            check(page)
            shot(
                page, f"{opens.split()[0].strip('.')}-{key if key.isalpha() else ord(key)}-{scheme}"
            )
            page.keyboard.press("Escape")


def check(page: Page) -> None:
    found = page.evaluate(CONTRAST)
    assert found["looked"] > 10
    assert found["low"] == []


def test_the_theme_is_chosen_by_key_and_kept(browser: Browser, eight_beds: Server) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, eight_beds.url, color_scheme="dark") as page:
        expect(page.locator(".tile")).to_have_count(8)
        assert page.evaluate(ground) == "rgb(7, 9, 8)"
        page.keyboard.press("t")
        assert page.evaluate(ground) == "rgb(255, 255, 255)"
        page.reload()
        expect(page.locator(".tile")).to_have_count(8)
        assert page.evaluate(ground) == "rgb(255, 255, 255)"
        page.keyboard.press("t")
        page.keyboard.press("t")
        assert page.evaluate(ground) == "rgb(7, 9, 8)"


FOCUSED = """
() => {
  const e = document.activeElement, style = getComputedStyle(e);
  return {
    what: e.tagName === 'BODY' ? '' : e.getAttribute('aria-label') || e.textContent.trim().slice(0, 30) || e.id,
    ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
  };
}
"""


@pytest.mark.parametrize("path", ["", BED_3])
def test_everything_is_reached_by_tab_and_the_focus_is_seen(
    browser: Browser, eight_beds: Server, path: str
) -> None:
    with opened(browser, eight_beds.url + path) as page:
        set_prefs(page, name="Ada")
        expect(page.locator(".rate").first).not_to_have_text("--")
        expect(page.locator(".alarm-list li" if path else ".tile")).to_have_count(4 if path else 8)
        wanted = page.locator(
            "button:visible, a[href]:visible, select:visible, input:visible, [tabindex='0']:visible"
        ).count()
        page.evaluate("document.activeElement.blur()")
        reached = []
        for _ in range(wanted + 3):
            page.keyboard.press("Tab")
            at = page.evaluate(FOCUSED)
            assert at["ring"] or not at["what"], at
            reached.append(at["what"])
        assert len(set(reached)) > (12 if not path else 25), reached


@pytest.mark.parametrize("path", ["", BED_3])
def test_a_phone_shows_all_without_scrolling_sideways(
    browser: Browser, eight_beds: Server, path: str
) -> None:
    with opened(
        browser,
        eight_beds.url + path,
        390,
        844,
        device_scale_factor=3,
        has_touch=True,
        is_mobile=True,
    ) as page:
        expect(page.locator(".rate").first).not_to_have_text("--")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate("document.getElementById('view').scrollWidth") <= 390
        shot(page, f"phone{'-patient' if path else ''}", 1500)
        if path:
            page.locator(".alarm-list .open").first.click()
            expect(page.locator(".review h2")).to_be_visible()
            assert page.evaluate("document.getElementById('view').scrollWidth") <= 390
            shot(page, "phone-review")
