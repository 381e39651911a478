"""Serves /healthz, /readyz and /metrics of a process for an orchestrator and Prometheus.

    GET /healthz   200 while the process answers at all
    GET /readyz    200 if it does its work, else 503; JSON says what is missing
    GET /metrics   Prometheus text format, version 0.0.4

A server in a thread of its own, on the address that ECGWATCH_METRICS names; no patient is named on
it. A process that serves HTTP already takes `prometheus` and answers itself.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, NamedTuple

from ingest.errors import BadInputError

TEXT = "text/plain; version=0.0.4; charset=utf-8"
_TIMEOUT_S = 5.0


class Metric(NamedTuple):
    """A number that a process tells. `name` without the prefix; a counter's ends with _total."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    value: float


class Health(NamedTuple):
    """The health checks and metrics of a process. The functions are called in the server's
    threads."""

    # what is missing before it can do its work, by part; nothing: it is ready
    missing: Callable[[], Mapping[str, str]]
    metrics: Callable[[], Iterable[Metric]]


def prometheus(metrics: Iterable[Metric]) -> str:
    """The metrics as text; one that is not a number is left out."""
    lines = []
    for metric in metrics:
        if math.isfinite(metric.value):
            name = f"ecgwatch_{metric.name}"
            lines += [
                f"# HELP {name} {metric.help}",
                f"# TYPE {name} {metric.kind}",
                f"{name} {metric.value:.10g}",
            ]
    return "\n".join(lines) + "\n"


def parse_address(text: str) -> tuple[str, int]:
    """Parse HOST:PORT. Raises BadInputError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise BadInputError(
            f"metrics = {text!r} is no address", "Write ECGWATCH_METRICS=HOST:PORT, 127.0.0.1:9400."
        )
    return host.strip("[]"), int(port)


class HealthServer:
    """A context manager that serves while it is open, on `port`."""

    def __init__(self, address: str, health: Health) -> None:
        """Raises BadInputError if it cannot listen there."""
        host, port = parse_address(address)
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(health))
        except OSError as error:
            raise BadInputError(
                f"cannot serve metrics on {address}: {error.strerror}",
                "Give ECGWATCH_METRICS another HOST:PORT for each process of a machine.",
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> HealthServer:
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def serving_health(address: str, health: Health) -> AbstractContextManager[object]:
    """A HealthServer on this address, or nothing if there is none."""
    return HealthServer(address, health) if address else nullcontext()


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S  # who dawdles is cut off

        def do_GET(self) -> None:
            if self.path == "/healthz":
                self._answer(200, "application/json", "{}")
            elif self.path == "/readyz":
                missing = dict(health.missing())
                self._answer(503 if missing else 200, "application/json", json.dumps(missing))
            elif self.path == "/metrics":
                self._answer(200, TEXT, prometheus(health.metrics()))
            else:
                self._answer(404, "text/plain", "GET /healthz, /readyz or /metrics")

        def _answer(self, status: int, media_type: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
