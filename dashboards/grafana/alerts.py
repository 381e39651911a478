"""Alert rules for people who run the pipeline, never for patients: Grafana evaluates every 30 s and
then groups for 30 s more."""

from __future__ import annotations

from dashboards.grafana import parts, pipeline
from dashboards.grafana.parts import Json

# a folder of their own: Grafana makes it before that of the boards
FOLDER_UID, FOLDER = "ecgwatch-alerts", "ecgwatch alerts"
GROUP, INTERVAL_S = "ecgwatch", 30
LAG_S = 10.0


def rules() -> list[Json]:
    """The rules on missing data, lag and dead letters, in the form of Grafana's provisioning
    API."""
    messages, lag, letters = (
        pipeline.gained("messages"),
        pipeline.now("lag_s"),
        pipeline.gained("dead_letters"),
    )
    board = {"__dashboardUid__": "ecgwatch-pipeline"}
    return [
        _rule(
            "ecgwatch-no-data",
            "No data",
            (messages, 120),
            ("lt", 1.0),
            wait="1m",
            silent="Alerting",
            notes={
                "summary": "For 2 minutes no worker has processed a message, or none is running.",
                **board,
            },
        ),
        _rule(
            "ecgwatch-lag",
            "Processing lags behind",
            (lag, 60),
            ("gt", LAG_S),
            wait="1m",
            silent="OK",
            notes={
                "summary": f"The processor is more than {LAG_S:g} s behind. Start more of them.",
                **board,
            },
        ),
        _rule(
            "ecgwatch-dead-letters",
            "Dead letters",
            (letters, 600),
            ("gt", 0.0),
            wait="0s",
            silent="OK",
            notes={
                "summary": "Messages came that cannot be read: the headers on ecg.dead-letter say why.",
                **board,
            },
        ),
    ]


def provisioning() -> Json:
    """The provisioning file that Grafana reads at its start."""
    group = {
        "orgId": 1,
        "name": GROUP,
        "folder": FOLDER,
        "interval": f"{INTERVAL_S}s",
        "rules": rules(),
    }
    return {"apiVersion": 1, "groups": [group]}


def _rule(
    uid: str,
    title: str,
    asked: tuple[str, int],
    limit: tuple[str, float],
    *,
    wait: str,
    silent: str,
    notes: dict[str, str],
) -> Json:
    flux, seconds = asked
    evaluator = {"type": limit[0], "params": [limit[1]]}
    query = {**parts.target(flux), "intervalMs": 15_000, "maxDataPoints": 1_000}
    newest = {"refId": "B", "type": "reduce", "expression": "A", "reducer": "last"}
    holds = {
        "refId": "C",
        "type": "threshold",
        "expression": "B",
        "conditions": [{"evaluator": evaluator}],
    }
    return {
        "uid": uid,
        "title": title,
        "condition": "C",
        "for": wait,
        "noDataState": silent,
        "execErrState": "Error",
        "isPaused": False,
        "annotations": notes,
        "labels": {"product": "ecgwatch"},
        "data": [
            {
                "refId": "A",
                "datasourceUid": parts.DATASOURCE["uid"],
                "relativeTimeRange": {"from": seconds, "to": 0},
                "model": query,
            },
            {
                "refId": "B",
                "datasourceUid": "__expr__",
                "relativeTimeRange": {"from": 0, "to": 0},
                "model": newest,
            },
            {
                "refId": "C",
                "datasourceUid": "__expr__",
                "relativeTimeRange": {"from": 0, "to": 0},
                "model": holds,
            },
        ],
    }
