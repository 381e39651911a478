"""A Grafana board around its panels (parts.py): variables, annotations, links, and the placement of
the panels, as plain JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dashboards.grafana.parts import DATASOURCE, Json

SCHEMA_VERSION = 42  # of Grafana 12.4
TAG = "ecgwatch"
WIDTH = 24  # columns of a board


def variable(name: str, label: str, flux: str, *, every: bool = False) -> Json:
    """A choice among the results of a query; `every` adds the choice of all of them, which in Flux
    (${NAME:doublequote}) reads as an empty string."""
    everything = (
        {
            "includeAll": True,
            "allValue": '""',
            "current": {"text": "All", "value": "$__all", "selected": True},
        }
        if every
        else {}
    )
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": flux, "refId": "variable"},
        "refresh": 2,
        "sort": 5,
        "multi": False,
        "hide": 0,
        "skipUrlSync": False,
        "regex": "",
        **everything,
    }


def textbox(name: str, label: str, value: str = "") -> Json:
    """A variable that is typed, or set by a link."""
    return {
        "type": "textbox",
        "name": name,
        "label": label,
        "query": value,
        "hide": 0,
        "skipUrlSync": False,
        "current": _option(value),
    }


def constant(name: str, value: str, description: str) -> Json:
    """A variable that is changed only in the board's settings."""
    return {
        "type": "constant",
        "name": name,
        "label": name,
        "description": description,
        "query": value,
        "hide": 2,
        "skipUrlSync": True,
        "current": _option(value),
    }


def _option(value: str) -> Json:
    return {"text": value, "value": value, "selected": True}


def annotation(name: str, colour: str, flux: str, *, enable: bool = True) -> Json:
    """Marks on the time axis: rows with time, text and, for a span, timeEnd."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": enable,
        "hide": False,
        "iconColor": colour,
        "target": {"refId": name, "query": flux},
    }


def board_link(title: str, tag: str = "", url: str = "") -> Json:
    """A link at the top of a board: to all boards of a tag, or to a URL."""
    return {
        "title": title,
        "type": "dashboards" if tag else "link",
        "icon": "external link",
        "tooltip": "",
        "url": url,
        "tags": [tag] if tag else [],
        "asDropdown": False,
        "targetBlank": not tag,
        "includeVars": False,
        "keepTime": bool(tag),
    }


def place(panels: Sequence[Json]) -> list[Json]:
    """Number the panels and place them from left to right and from top to bottom; a row ends when
    the next panel does not fit."""
    x = y = height = 0
    placed = []
    for number, one in enumerate(panels, start=1):
        size = one["gridPos"]
        if x + size["w"] > WIDTH:
            x, y, height = 0, y + height, 0
        placed.append({"id": number, **one, "gridPos": {**size, "x": x, "y": y}})
        x, height = x + size["w"], max(height, size["h"])
    return placed


def board(uid: str, title: str, description: str, panels: Sequence[Json], **more: Any) -> Json:
    """A whole board: variables, annotations, links, since (the range), refresh."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "fiscalYearStartMonth": 0,
        "liveNow": more.get("live", False),
        "refresh": more.get("refresh", "10s"),
        "time": {"from": more.get("since", "now-1h"), "to": "now"},
        "templating": {"list": more.get("variables", [])},
        "annotations": {"list": more.get("annotations", [])},
        "links": [board_link("ecgwatch", TAG), *more.get("links", [])],
        "panels": place(panels),
    }
