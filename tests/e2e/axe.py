"""axe-core, the checker of accessibility, fetched once from npm's registry and run in a page."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

PACKAGE = "axe-core@4.14.1"
CACHE = Path.home() / ".cache/ecgwatch-parts"
RUN = """
async () => {
  const { violations } = await axe.run(document, { resultTypes: ['violations'] });
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, any }) => `${id}: ${help}: ${html.slice(0, 160)} ${any.map((a) => a.message).join('; ')}`));
}
"""


@cache
def source() -> str:
    """The script, fetched on first use. Skips the test if npm is missing or does not reach its registry."""
    kept = CACHE / f"{PACKAGE}.min.js"
    if not kept.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("axe-core is fetched with npm, and there is none: apt-get install npm")
        with tempfile.TemporaryDirectory() as folder:
            got = subprocess.run(
                [npm, "pack", "--silent", PACKAGE], cwd=folder, capture_output=True, text=True
            )
            if got.returncode:
                pytest.skip(f"npm cannot fetch {PACKAGE}: {got.stderr.strip()[-200:]}")
            with tarfile.open(Path(folder) / got.stdout.strip().splitlines()[-1]) as package:
                member = package.extractfile("package/axe.min.js")
                assert member is not None
                CACHE.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(member.read())
    return kept.read_text()


def violations(page: Page) -> list[Any]:
    """What axe-core finds in the page as it is now."""
    page.evaluate(source())
    found = page.evaluate(RUN)
    assert isinstance(found, list)
    return found
