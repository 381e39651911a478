#!/usr/bin/env python3
"""Make the secrets of docker-compose.yml: write random passwords and tokens into .env beside it,
readable by its owner only.

    python3 tools/compose_env.py

Existing values of .env stay: InfluxDB and Grafana accept a password at their first start only.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

ENV = Path(__file__).resolve().parent.parent / ".env"
SECRETS = ("INFLUXDB_TOKEN", "INFLUXDB_PASSWORD", "GRAFANA_PASSWORD", "MONITOR_TOKEN")
BYTES = 32  # 43 letters; InfluxDB takes at most 72


def fill(path: Path) -> list[str]:
    """Add a random value for each secret that the file does not set, and make the file readable by
    its owner only. Returns the names added. Raises OSError."""
    there = path.read_text() if path.exists() else ""
    values = dict(line.split("=", 1) for line in there.splitlines() if "=" in line)
    missing = [name for name in SECRETS if not values.get(name)]
    # the last value of a name counts
    lines = [*there.splitlines(), *(f"{name}={secrets.token_urlsafe(BYTES)}" for name in missing)]
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
    draft.replace(path)
    return missing


def main() -> None:
    """The command line."""
    try:
        added = fill(ENV)
    except OSError as error:
        sys.exit(f"error: {error}")
    print(f"{ENV}: {'made ' + ', '.join(added) if added else 'all secrets are there'}")


if __name__ == "__main__":
    main()
