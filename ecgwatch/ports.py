"""A port for a page on this machine."""

from __future__ import annotations

import socket


def free_port(port: int) -> int:
    """Return the port, or 0 (any) if something listens on it already."""
    with socket.socket() as trial:
        return 0 if trial.connect_ex(("127.0.0.1", port)) == 0 else port
