"""Serve the page that makes a phone a gateway: /join, and its scripts. The page asks for a device's
token."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

PHONE = Path(__file__).parents[1] / "static" / "phone"


def routes() -> list[BaseRoute]:
    """Routes of the page and its files."""
    return [Route("/join", _page), Mount("/phone", StaticFiles(directory=PHONE))]


async def _page(request: Request) -> Response:
    return FileResponse(PHONE / "join.html")
