"""Chunks to the ingest server by HTTP: a request for each batch."""

from __future__ import annotations

import httpx
import msgspec

from ingest.gateway.spool import ChunkBatch
from ingest.gateway.uplink.base import ACCEPTED, Answer, KnownDevice, unanswered
from ingest.wire import CHUNKS_PATH, DEVICE_PATH, MESSAGEPACK, Refusal, Reply, encode_chunks

TIMEOUT = httpx.Timeout(15.0, connect=5.0)


class HttpUplink:
    """The HTTP uplink of one device; devices share the client, which their gateway closes."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self._client = client
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": MESSAGEPACK,
            "Accept": MESSAGEPACK,
        }

    async def send(self, batch: ChunkBatch) -> Answer:
        path = CHUNKS_PATH.format(stream=batch.stream)
        body = encode_chunks(batch.chunks, MESSAGEPACK)
        try:
            answer = await self._client.post(
                path, content=body, headers=self._headers, timeout=TIMEOUT
            )
        except httpx.HTTPError as error:
            return unanswered(f"the server does not answer ({type(error).__name__})")
        if answer.status_code != ACCEPTED:
            return Answer(
                status=answer.status_code,
                refusal=_refusal(answer),
                retry_after_s=_retry_after(answer),
            )
        try:
            return Answer(status=ACCEPTED, next_sample=_reply(answer).next_sample)
        except msgspec.MsgspecError:
            return unanswered("the server's answer cannot be read: is it of this version?")

    async def ask(self) -> KnownDevice | None:
        headers = {"Authorization": self._headers["Authorization"]}
        try:
            answer = await self._client.get(DEVICE_PATH, headers=headers, timeout=TIMEOUT)
            return msgspec.json.decode(answer.content, type=KnownDevice)
        except (httpx.HTTPError, msgspec.MsgspecError):
            return None

    async def close(self) -> None:
        """Do nothing: the gateway closes the client."""


def _reply(answer: httpx.Response) -> Reply:
    packed = answer.headers.get("content-type", "").startswith(MESSAGEPACK)
    return (msgspec.msgpack.decode if packed else msgspec.json.decode)(answer.content, type=Reply)


def _refusal(answer: httpx.Response) -> Refusal:
    try:
        return msgspec.json.decode(answer.content, type=Refusal)
    except msgspec.MsgspecError:
        return Refusal(problem=answer.reason_phrase)


def _retry_after(answer: httpx.Response) -> float:
    try:
        return max(float(answer.headers.get("retry-after", "1")), 0.1)
    except ValueError:
        return 1.0
