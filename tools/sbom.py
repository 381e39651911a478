#!/usr/bin/env python3
"""Print a software bill of materials of the packages installed with ecgwatch: CycloneDX 1.5, JSON.

    python tools/sbom.py > sbom.json          of requirements.lock: names, versions, hashes

Licences are those that the packages state, for packages that are installed here.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import uuid
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements.lock"
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)", re.MULTILINE)


def components(lock: str) -> list[dict[str, Any]]:
    """One component for each pinned package of a lock file's text."""
    pins = list(_PIN.finditer(lock))
    ends = [pin.start() for pin in pins[1:]] + [len(lock)]
    return [_component(pin, lock[pin.end() : end]) for pin, end in zip(pins, ends, strict=True)]


def bill(lock: str, version: str) -> dict[str, Any]:
    """The whole document; the same lock gives the same one."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, lock)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "ecgwatch",
                "name": "ecgwatch",
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": components(lock),
    }


def _component(pin: re.Match[str], rest: str) -> dict[str, Any]:
    name, version = pin["name"].lower().replace("_", "-"), pin["version"]
    purl = f"pkg:pypi/{name}@{version}"
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [
            {"alg": "SHA-256", "content": digest}
            for digest in re.findall(r"--hash=sha256:([0-9a-f]{64})", rest)
        ],
    }
    if licence := _licence(name):
        found["licenses"] = [{"license": {"name": licence}}]
    return found


def _licence(name: str) -> str:
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
    stated = metadata.get("License-Expression") or metadata.get("License") or ""
    return stated.partition("\n")[0][:100]


def main() -> None:
    """The command line."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    print(json.dumps(bill(LOCK.read_text(), importlib.metadata.version("ecgwatch")), indent=1))


if __name__ == "__main__":
    main()
