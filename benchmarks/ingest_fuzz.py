"""Send fuzzed requests to a real ingest server, which must refuse them, stay up, and not grow.

    .venv/bin/python benchmarks/ingest_fuzz.py --requests 100000

Requests are good ones with bytes, fields, headers or frames spoiled, over HTTP and WebSocket, from 48
devices; the seed makes them reproducible. Ends with an error if the server ends, answers 5xx, or
holds 30 MB more at the end than after the first fifth.
"""

from __future__ import annotations

import argparse
import random
import socket
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import httpx
import msgspec
import psutil
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.ingest_parts import FS, N, server, worn_devices
from ingest import wire
from ingest.embedded import EmbeddedBroker
from ingest.wire import JSON, MESSAGEPACK

DEVICES, THREADS = 48, 6
MOST_GROWTH = 30 * 1024 * 1024
ODD = [
    None,
    True,
    -1,
    0,
    1e308,
    float("nan"),
    2**63,
    -(2**63),
    "",
    "x" * 300,
    [],
    {},
    b"\0",
    "\ud800",
]


class Fuzzer:
    """Sends spoiled requests one after the other and counts the answers."""

    def __init__(self, port: int, tokens: list[str], seed: int) -> None:
        self.port, self.tokens, self.rng = port, tokens, random.Random(seed)
        self.answers: Counter[str] = Counter()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        self.start_ns = time.time_ns()
        self.next = [0] * len(tokens)
        self.base = seed * 1000 + 1

    def run(self, count: int) -> None:
        for _ in range(count):
            kind = self.rng.choices((self.post, self.raw, self.socket), (90, 6, 4))[0]
            kind()

    def post(self) -> None:
        rng = self.rng
        device = rng.randrange(len(self.tokens))
        media = rng.choice((JSON, MESSAGEPACK))
        headers = {
            "Authorization": f"Bearer {self.tokens[device]}" if rng.random() < 0.97 else "Basic x",
            "Content-Type": media if rng.random() < 0.95 else "text/csv",
        }
        if rng.random() < 0.1:
            path, body = wire.EVENTS_PATH, self.spoiled_event(media)
        else:
            path, body = self.path(device), self.spoiled(device, media)
        answer = self.client.post(path, content=body, headers=headers)
        self.answers[str(answer.status_code)] += 1
        assert answer.status_code < 500, (answer.status_code, answer.text, body[:200])

    def path(self, device: int) -> str:
        stream = str(UUID(int=self.base + device))
        if self.rng.random() < 0.05:
            stream = self.rng.choice(["x", "..%2f..", str(UUID(int=self.rng.getrandbits(128)))])
        return wire.CHUNKS_PATH.replace("{stream}", stream)

    def spoiled(self, device: int, media: str) -> bytes:
        rng, chunks = self.rng, []
        for _ in range(rng.randint(1, 3)):
            first = self.next[device] * N
            chunks.append(
                {
                    "first_sample": first,
                    "t0_ns": self.start_ns + round(first * 1e9 / FS),
                    "fs_hz": FS,
                    "counts_per_mv": 1000.0,
                    "samples": rng.randbytes(2 * N),
                }
            )
            self.next[device] = (self.next[device] + 1) % 60
        what = rng.random()
        if what < 0.6:
            field = rng.choice([*chunks[0], "lead_off", "battery", "fault", "end", "lead", "other"])
            rng.choice(chunks)[field] = rng.choice(ODD)
        return self.bent(self.encoded(chunks, media))

    def spoiled_event(self, media: str) -> bytes:
        event = {"id": "e", "time_ns": self.start_ns, "kind": "symptom", "text": "t"}
        event[self.rng.choice([*event])] = self.rng.choice(ODD)
        return self.bent(self.encoded(event, media))

    def encoded(self, content: object, media: str) -> bytes:
        try:
            return (msgspec.json if media == JSON else msgspec.msgpack).encode(content)
        except (OverflowError, UnicodeEncodeError, ValueError):
            return b"[" * self.rng.randint(1, 5000)

    def bent(self, body: bytes) -> bytes:
        """Change, drop or repeat bytes in a third of the requests."""
        rng = self.rng
        if rng.random() > 0.33 or not body:
            return body
        at = rng.randrange(len(body))
        return rng.choice(
            [
                body[:at] + rng.randbytes(rng.randint(1, 8)) + body[at + 1 :],
                body[:at],
                body[:at] + body[at : at + 40] * rng.randint(2, 50) + body[at:],
                rng.randbytes(at),
            ]
        )

    def raw(self) -> None:
        """Send invalid or incomplete HTTP."""
        rng = self.rng
        device = rng.randrange(len(self.tokens))
        body = self.spoiled(device, JSON)
        head = (
            f"POST {self.path(device)} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.tokens[device]}\r\n"
            f"Content-Type: {JSON}\r\nContent-Length: {rng.choice([len(body), 0, 10**12, -1])}\r\n\r\n"
        )
        data = self.bent(self.bent(head.encode() + body))
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as raw:
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            raw.settimeout(0.05)
            try:
                answer = raw.recv(64)
            except OSError:
                answer = b""
        status = answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.1 ") else "closed"
        self.answers[f"raw {status}"] += 1
        assert not status.startswith("5"), data[:300]

    def socket(self) -> None:
        device = self.rng.randrange(len(self.tokens))
        path = wire.SOCKET_PATH.replace("{stream}", str(UUID(int=self.base + device)))
        names = [wire.SUBPROTOCOL, wire.TOKEN_PREFIX + self.tokens[device]]
        try:
            with connect(
                f"ws://127.0.0.1:{self.port}{path}", subprotocols=names, open_timeout=20
            ) as ws:
                for _ in range(self.rng.randint(1, 4)):
                    frame = self.spoiled(device, MESSAGEPACK)
                    ws.send(frame if self.rng.random() < 0.9 else "text")
                ws.recv(timeout=0.05)
        except TimeoutError:
            self.answers["ws silent"] += 1
            return
        except WebSocketException as closed:
            code = getattr(getattr(closed, "rcvd", None), "code", 0)
            self.answers[f"ws {code}"] += 1
            if code == 1011:  # a defect of the server
                raise
            return
        self.answers["ws answered"] += 1


def fuzz(requests: int, seed: int = 1) -> Counter[str]:
    """Run the benchmark; returns the counted answers. Raises AssertionError."""
    with EmbeddedBroker() as broker:
        tokens = worn_devices(broker.address, DEVICES)
        with server(broker.address) as (process, port):
            memory = psutil.Process(process.pid)
            share = DEVICES // THREADS
            fuzzers = [
                Fuzzer(port, tokens[k * share : (k + 1) * share], seed * THREADS + k)
                for k in range(THREADS)
            ]
            run_all(fuzzers, requests // 5)
            before = memory.memory_info().rss
            run_all(fuzzers, requests - requests // 5)
            grown = memory.memory_info().rss - before
            assert process.poll() is None, "the server has ended"
            assert fuzzers[0].client.get("/healthz").status_code == 200
            assert grown < MOST_GROWTH, f"{grown / 2**20:.0f} MB more"
            answers = sum((fuzzer.answers for fuzzer in fuzzers), Counter())
            answers["grown MB"] = round(grown / 2**20)
            for fuzzer in fuzzers:
                fuzzer.client.close()
    return answers


def run_all(fuzzers: list[Fuzzer], requests: int) -> None:
    """Send this number of requests, shared among the fuzzers, each in a thread."""
    with ThreadPoolExecutor(len(fuzzers)) as threads:
        runs = [threads.submit(f.run, requests // len(fuzzers)) for f in fuzzers]
        for run in runs:
            run.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    begun = time.monotonic()
    answers = fuzz(arguments.requests, arguments.seed)
    print(f"{arguments.requests} requests in {time.monotonic() - begun:.0f} s, no crash")
    for answer, count in sorted(answers.items()):
        print(f"  {answer}: {count}")


if __name__ == "__main__":
    main()
