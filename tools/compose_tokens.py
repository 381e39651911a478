#!/usr/bin/env python3
"""Make the tokens that the services of docker-compose.yml reach InfluxDB with: one that reads and
writes the two buckets of events and waveforms, one that only reads them.

    python compose_tokens.py WRITER_FOLDER READER_FOLDER

Runs once in the stack, with InfluxDB's admin token (INFLUXDB_TOKEN) at INFLUXDB_URL; no other
service has that one. InfluxDB chooses tokens itself, so they cannot stand in .env: each folder gets
`ecgwatch.toml`, a settings file, and `token`, for Grafana. A folder whose token works already stays.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ORG, BUCKET, WAVEFORM_BUCKET = "ecgwatch", "events", "waveform"
WAVEFORM_S = 7 * 86_400  # the default of ECGWATCH_WAVEFORM_DAYS
TIMEOUT_S = 10.0


class Api:
    """InfluxDB's HTTP API with one token. Raises OSError."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url.rstrip("/"), token

    def __call__(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        call = urllib.request.Request(
            f"{self._url}/api/v2/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Token {self._token}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(call, timeout=TIMEOUT_S) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def bucket(self, name: str) -> dict[str, Any] | None:
        """The bucket, if there is one that this token may see."""
        try:
            found = self("GET", f"buckets?name={name}")["buckets"]
        except urllib.error.HTTPError as error:
            if error.code in (401, 404):
                return None
            raise
        return found[0] if found else None


def buckets(admin: Api) -> list[dict[str, Any]]:
    """Both, the one of waveforms made if it is missing: the writer may not."""
    events = admin.bucket(BUCKET)
    if events is None:
        raise OSError(f"InfluxDB has no bucket {BUCKET!r}, or INFLUXDB_TOKEN is not its admin's")
    waveforms = admin.bucket(WAVEFORM_BUCKET) or admin(
        "POST",
        "buckets",
        {
            "name": WAVEFORM_BUCKET,
            "orgID": events["orgID"],
            "retentionRules": [{"type": "expire", "everySeconds": WAVEFORM_S}],
        },
    )
    return [events, waveforms]


def issue(admin: Api, name: str, actions: tuple[str, ...]) -> str:
    """A new token; earlier ones of the same name end."""
    found = buckets(admin)
    for old in admin("GET", f"authorizations?org={ORG}")["authorizations"]:
        if old["description"] == name:
            admin("DELETE", f"authorizations/{old['id']}")
    org = found[0]["orgID"]
    permissions = [
        {"action": action, "resource": {"type": "buckets", "id": bucket["id"], "orgID": org}}
        for bucket in found
        for action in actions
    ]
    wanted = {"orgID": org, "description": name, "permissions": permissions}
    return str(admin("POST", "authorizations", wanted)["token"])


def write(folder: Path, token: str) -> None:
    """The two files. Whoever mounts the folder may read them, under whichever user it runs."""
    for name, text in (("token", token), ("ecgwatch.toml", f'influx_token = "{token}"\n')):
        draft = folder / f"{name}.new"
        draft.write_text(text)
        draft.chmod(0o444)
        draft.replace(folder / name)


def works(folder: Path, url: str) -> bool:
    """Whether the folder has both files, and a token that still sees the buckets."""
    if not (folder / "ecgwatch.toml").exists() or not (folder / "token").exists():
        return False
    held = Api(url, (folder / "token").read_text())
    return all(held.bucket(name) for name in (BUCKET, WAVEFORM_BUCKET))


def fill(url: str, admin_token: str, writer: Path, reader: Path) -> list[str]:
    """Fill the folders; the names of the tokens that were made. Raises OSError."""
    admin, made = Api(url, admin_token), []
    for name, folder, actions in (
        ("ecgwatch writer", writer, ("read", "write")),
        ("ecgwatch reader", reader, ("read",)),
    ):
        if not works(folder, url):
            write(folder, issue(admin, name, actions))
            made.append(name)
    return made


def main() -> None:
    """The command line."""
    try:
        writer, reader = map(Path, sys.argv[1:])
        made = fill(os.environ["INFLUXDB_URL"], os.environ["INFLUXDB_TOKEN"], writer, reader)
    except KeyError as error:
        sys.exit(f"error: {error.args[0]} is not set")
    except ValueError:
        sys.exit(f"usage: {Path(sys.argv[0]).name} WRITER_FOLDER READER_FOLDER")
    except OSError as error:
        sys.exit(f"error: InfluxDB's tokens: {error}")
    print(f"made {', '.join(made)}" if made else "both tokens are there and work")


if __name__ == "__main__":
    main()
