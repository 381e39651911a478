#!/usr/bin/env python3
"""List known vulnerabilities of the locked packages, from the OSV database (https://osv.dev).

    python tools/audit.py [LOCK]              exit status 1 if there is one, with its id

If the database cannot be reached, the tool says so and exits with 0: nothing has been audited then.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from sbom import LOCK, components

OSV = "https://api.osv.dev/v1/querybatch"
TIMEOUT_S = 20.0


def questions(lock: str) -> list[dict[str, Any]]:
    """Queries to the database, one for each package."""
    return [
        {"package": {"name": c["name"], "ecosystem": "PyPI"}, "version": c["version"]}
        for c in components(lock)
    ]


def findings(asked: list[dict[str, Any]], answer: dict[str, Any]) -> list[str]:
    """A line for each package with known vulnerabilities."""
    return [
        f"{q['package']['name']} {q['version']}: {', '.join(v['id'] for v in result['vulns'])}"
        for q, result in zip(asked, answer["results"], strict=True)
        if result.get("vulns")
    ]


def main() -> int:
    """The command line."""
    lock = Path(sys.argv[1]) if len(sys.argv) > 1 else LOCK
    asked = questions(lock.read_text())
    body = json.dumps({"queries": asked}).encode()
    call = urllib.request.Request(OSV, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(call, timeout=TIMEOUT_S) as answer:
            found = findings(asked, json.load(answer))
    except (OSError, ValueError) as error:
        print(f"audit skipped: {OSV} cannot be reached ({error}); {len(asked)} packages unaudited")
        return 0
    print("\n".join(found) or f"{len(asked)} packages: no known vulnerability")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
