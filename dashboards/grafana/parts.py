"""Panels of a Grafana board as plain JSON values, complete for the model of Grafana 12.4. The board
around them is built by layout.py.

The model is that of grafana-foundation-sdk and @grafana/schema (tests/unit/dashboards/test_grafana_boards.py
checks the boards against it): defaults of the model are written out here, because both require
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

DATASOURCE = {"type": "influxdb", "uid": "ecgwatch"}
GRAFANA = {"type": "grafana", "uid": "grafana"}  # Grafana Live is a datasource of this kind

# As in the built-in monitor, colour is used only if it carries a meaning.
HIGH, MEDIUM, LOW, QUIET, UNREADABLE = "#e02f44", "#f2cc0c", "#33b5e5", "#37872d", "#6e7687"
PRIORITIES = {"high": HIGH, "medium": MEDIUM, "low": LOW}
RHYTHMS = {
    "N": "#5a7d5f",
    "SBR": "#5a7d5f",
    "STACH": "#5a7d5f",
    "SARR": "#5a7d5f",
    "AFIB": "#3274d9",
    "U": "#2aa198",
    "O": "#2aa198",
    "SVTA": "#8f3bb8",
    "IVR": "#ffb357",
    "VT": "#ff780a",
    "VFL": "#c4162a",
    "VF": "#e02f44",
    "ASYS": "#ad0317",
    "B": "#b877d9",
    "T": "#a352cc",
    "P": "#8ab8ff",
    "PAUSE": "#f2cc0c",
    "~": UNREADABLE,
}
BEATS = {"N": "#5a7d5f", "S": "#8f3bb8", "V": "#ff780a", "F": "#fa6400", "Q": UNREADABLE}

_TOOLTIP = {"mode": "multi", "sort": "desc"}
_HIDDEN = {"legend": False, "tooltip": False, "viz": False}


def legend(*calcs: str, show: bool = True) -> Json:
    """The legend below a panel."""
    return {"displayMode": "list", "placement": "bottom", "showLegend": show, "calcs": list(calcs)}


def states(colours: Mapping[str, str], words: Mapping[str, str] | None = None) -> list[Json]:
    """Colours, and words if given, of the values of a field."""
    named = words or {}
    options = {
        value: {"color": colour, "index": i} | ({"text": named[value]} if value in named else {})
        for i, (value, colour) in enumerate(colours.items())
    }
    return [{"type": "value", "options": options}]


def steps(*steps: tuple[float | None, str]) -> Json:
    """Colour thresholds, each from its value up; the first has None."""
    return {
        "mode": "absolute",
        "steps": [{"value": value, "color": colour} for value, colour in steps],
    }


def target(flux: str, ref: str = "A") -> Json:
    """A Flux query of a panel."""
    return {"refId": ref, "datasource": DATASOURCE, "query": flux}


def panel(
    kind: str,
    title: str,
    targets: Sequence[Json] | str,
    size: tuple[int, int],
    options: Json,
    **more: Any,
) -> Json:
    """A panel of width and height `size`; `place` gives it its position.

    Field settings: unit, decimals, minimum, maximum, name, colour, thresholds, mappings, links,
    custom, overrides. `extra` holds keys of the panel itself.
    """
    defaults: Json = {"custom": more.get("custom", {})}
    for key, name in (
        ("unit", "unit"),
        ("decimals", "decimals"),
        ("minimum", "min"),
        ("maximum", "max"),
        ("name", "displayName"),
    ):
        if key in more:
            defaults[name] = more[key]
    if "colour" in more:
        fixed = more["colour"].startswith("#")
        defaults["color"] = (
            {"mode": "fixed", "fixedColor": more["colour"]} if fixed else {"mode": more["colour"]}
        )
    defaults |= {key: more[key] for key in ("thresholds", "mappings", "links") if key in more}
    return {
        "type": kind,
        "title": title,
        "description": more.get("description", ""),
        "datasource": DATASOURCE,
        "targets": [target(targets)] if isinstance(targets, str) else list(targets),
        "fieldConfig": {"defaults": defaults, "overrides": more.get("overrides", [])},
        "options": options,
        "gridPos": {"h": size[1], "w": size[0], "x": 0, "y": 0},
        **more.get("extra", {}),
    }


def curve(
    title: str,
    targets: Sequence[Json] | str,
    size: tuple[int, int] = (12, 8),
    *,
    draw: str = "line",
    **more: Any,
) -> Json:
    """Values over time: draw is line, points, bars (stacked) or steps."""
    stacked = {"group": "A", "mode": "normal" if draw == "bars" else "none"}
    custom = {
        "drawStyle": "line" if draw == "steps" else draw,
        "lineInterpolation": "stepAfter" if draw == "steps" else "linear",
        "lineWidth": 1,
        "fillOpacity": 60 if draw == "bars" else 0,
        "pointSize": 3,
        "showPoints": "always" if draw == "points" else "never",
        "spanNulls": False,
        "stacking": stacked,
        "axisLabel": more.pop("axis", ""),
        "hideFrom": _HIDDEN,
    }
    options = {"legend": more.pop("legend", legend()), "tooltip": _TOOLTIP}
    return panel("timeseries", title, targets, size, options, custom=custom, **more)


def timeline(title: str, flux: str, size: tuple[int, int], **more: Any) -> Json:
    """States over time, a row per patient."""
    custom = {"fillOpacity": 80, "lineWidth": 0, "hideFrom": _HIDDEN}
    options = {
        "showValue": "auto",
        "rowHeight": 0.85,
        "mergeValues": True,
        "alignValue": "left",
        "perPage": more.pop("per_page", 25),
        "legend": legend(show=False),
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel(
        "state-timeline",
        title,
        flux,
        size,
        options,
        custom=custom,
        name="${__field.labels.patient}",
        **more,
    )


def stat(
    title: str,
    flux: str,
    size: tuple[int, int] = (4, 4),
    *,
    text: bool = False,
    graph: bool = False,
    **more: Any,
) -> Json:
    """One value in large type; `text` if the value is a word."""
    options = {
        "graphMode": "area" if graph else "none",
        "colorMode": "value",
        "justifyMode": "auto",
        "textMode": "value" if text else "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
        "orientation": "auto",
        "reduceOptions": {
            "values": False,
            "calcs": ["lastNotNull"],
            "fields": "/.*/" if text else "",
        },
    }
    return panel("stat", title, flux, size, options, **more)


def table(
    title: str, targets: Sequence[Json] | str, size: tuple[int, int], *, sort: str = "", **more: Any
) -> Json:
    """Rows and columns; `sort` is the column that is shown in descending order."""
    custom = {
        "align": "auto",
        "cellOptions": {"type": "auto"},
        "inspect": False,
        "filterable": True,
    }
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "frameIndex": 0,
        "showTypeIcons": False,
        "sortBy": [{"displayName": sort, "desc": True}] if sort else [],
    }
    return panel("table", title, targets, size, options, custom=custom, **more)


def bars(
    title: str, flux: str, size: tuple[int, int], *, across: str, stacked: str = "none", **more: Any
) -> Json:
    """A bar per row, named by the column `across`; stacked is none or percent."""
    custom = {"lineWidth": 0, "fillOpacity": 80, "gradientMode": "none", "hideFrom": _HIDDEN}
    options = {
        "xField": across,
        "orientation": "horizontal",
        "xTickLabelRotation": 0,
        "xTickLabelMaxLength": 0,
        "xTickLabelSpacing": 0,
        "stacking": stacked,
        "groupWidth": 0.7,
        "barWidth": 0.9,
        "barRadius": 0.0,
        "fullHighlight": False,
        "showValue": "auto",
        "legend": legend(show=stacked != "none"),
        "tooltip": _TOOLTIP,
    }
    return panel("barchart", title, flux, size, options, custom=custom, **more)


def histogram(title: str, flux: str, size: tuple[int, int], *, bucket: int, **more: Any) -> Json:
    """Histogram of values."""
    custom = {
        "lineWidth": 1,
        "fillOpacity": 70,
        "gradientMode": "none",
        "stacking": {"group": "A", "mode": "none"},
        "hideFrom": _HIDDEN,
    }
    options = {
        "bucketSize": bucket,
        "bucketOffset": 0,
        "combine": True,
        "legend": legend(show=False),
        "tooltip": _TOOLTIP,
    }
    return panel("histogram", title, flux, size, options, custom=custom, **more)


def trend(title: str, flux: str, size: tuple[int, int], *, across: str, **more: Any) -> Json:
    """Values over a number that is no time of day: seconds from an alarm's onset."""
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 0,
        "pointSize": 3,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "none"},
        "axisLabel": more.pop("axis", ""),
        "hideFrom": _HIDDEN,
    }
    options = {
        "xField": across,
        "legend": legend(show=False),
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel("trend", title, flux, size, options, custom=custom, **more)


def field(name: str, **properties: Any) -> Json:
    """Settings of one column; `hidden` leaves it out, other keys are ids of properties with _ for a
    dot."""
    found = [{"id": key.replace("_", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": found}


def coloured(name: str, colours: Mapping[str, str]) -> Json:
    """A column whose text has the colour of its value."""
    return field(name, mappings=states(colours), custom_cellOptions={"type": "color-text"})


def link(title: str, url: str, *, new: bool = False) -> Json:
    """A link of a value or a cell."""
    return {"title": title, "url": url, "targetBlank": new}
