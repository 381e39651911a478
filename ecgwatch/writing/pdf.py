"""Prints a page as PDF by a Chromium that is on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from ingest.errors import BadInputError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge", "microsoft-edge")
_TIMEOUT_S = 120


def print_pdf(html: str, out: Path) -> None:
    """Print a self-contained page to the PDF file `out`. Raises BadInputError if there is no
    browser, or if it does not print."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise BadInputError(
            f"a PDF is printed by a browser, and none of {', '.join(BROWSERS)} is installed",
            "Install Chromium, or write HTML (--out report.html) and print it from your browser.",
        )
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(html, encoding="utf-8")
        options = [
            "--headless",
            "--disable-gpu",
            "--no-pdf-header-footer",
            f"--user-data-dir={folder}/profile",
            f"--print-to-pdf={out.absolute()}",
        ]
        if getattr(os, "geteuid", lambda: 1)() == 0:
            options.append("--no-sandbox")  # Chromium's sandbox refuses to run as root
        out.unlink(missing_ok=True)
        try:
            done = subprocess.run(
                [browser, *options, page.as_uri()],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
            reason = done.stderr.strip().splitlines()[-1:]
        except subprocess.TimeoutExpired:
            reason = [f"it did not end in {_TIMEOUT_S} s"]
    if not out.exists():
        raise BadInputError(
            f"{browser} has not printed {out}: {' '.join(reason)}",
            "Write HTML (--out report.html) and print it from your browser.",
        )
