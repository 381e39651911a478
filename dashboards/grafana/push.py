"""Push the boards into an existing Grafana, over its HTTP API by grafana-client: create or update,
and report what changed.

A thing that is already as wanted is not written again. Things provisioned from files are left
alone: Grafana refuses to change them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

import niquests.exceptions
from grafana_client.api import GrafanaApi
from grafana_client.client import GrafanaClientError, GrafanaException

from dashboards.grafana import alerts, files, parts
from dashboards.grafana.parts import Json
from ingest.errors import BadInputError, EcgwatchError, UnreachableError

FOLDER_UID, FOLDER = "ecgwatch", "ecgwatch"
MESSAGE = "ecgwatch dashboards push"
TRIES = 2  # if somebody saves the same board at the same moment
OLDEST = 12  # version of Grafana for which the boards are made
NOT_FOUND, CHANGED_MEANWHILE = 404, 412
T = TypeVar("T")


class DataSource(NamedTuple):
    """How Grafana reaches the store."""

    url: str
    org: str
    bucket: str
    token: str
    ca: str = ""  # PEM text of who signed its certificate; empty: Grafana's system knows


class Change(NamedTuple):
    """The outcome of `push` for one thing."""

    what: str
    state: Literal["created", "updated", "unchanged", "left alone"]
    note: str = ""


class GrafanaCheck(NamedTuple):
    """The result of `check` for one thing."""

    what: str
    works: bool
    text: str


class Grafana:
    """Client of one Grafana. `token` is a service account's, or USER:PASSWORD.

    Every method raises UnreachableError if Grafana does not answer and BadInputError if it refuses.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        user, colon, password = token.partition(":")
        self._api = GrafanaApi.from_url(f"{self.url}/", (user, password) if colon else token)

    def push(self, source: DataSource) -> Iterator[Change]:
        """Push folders, datasource, boards and alert rules, in this order."""
        self.version()
        yield self._folder(FOLDER_UID, FOLDER)
        yield self._source(source)
        for board in files.boards().values():
            yield self._board(board)
        yield self._folder(alerts.FOLDER_UID, alerts.FOLDER)
        yield self._rules()

    def check(self) -> Iterator[GrafanaCheck]:
        """Check version, datasource, boards and alert rules as they are now."""
        version = self.version()
        good = version.split(".")[0].isdigit() and int(version.split(".")[0]) >= OLDEST
        yield GrafanaCheck(
            "grafana",
            good,
            f"version {version}" + ("" if good else f"; the boards are made for {OLDEST}"),
        )
        yield self._source_health()
        for board in files.boards().values():
            found = self._found(lambda uid=board["uid"]: self._api.dashboard.get_dashboard(uid))  # type: ignore[misc]
            yield self._compared(f"board {board['title']}", found and found["dashboard"], board)
        yield self._compared("alert rules", self._rule_group(), _rule_group())

    def version(self) -> str:
        """Grafana's version; always the first request."""
        return str(self._ask(lambda: self._api.client.GET("/health"))["version"])

    def _folder(self, uid: str, title: str) -> Change:
        what, found = f"folder {title}", self._found(lambda: self._api.folder.get_folder(uid))
        if found is None:
            self._ask(lambda: self._api.folder.create_folder(title, uid))
            return Change(what, "created")
        if found["title"] == title:
            return Change(what, "unchanged")
        self._ask(
            lambda: self._api.folder.update_folder(
                uid, title, version=found.get("version"), overwrite=True
            )
        )
        return Change(what, "updated", f"was called {found['title']}")

    def _source(self, source: DataSource) -> Change:
        uid = parts.DATASOURCE["uid"]
        what, wanted = f"datasource {uid}", _source(source)
        found = self._found(lambda: self._api.datasource.get_datasource_by_uid(uid))
        if found is None:
            self._ask(lambda: self._api.datasource.create_datasource(wanted))
            return Change(what, "created")
        if found.get("readOnly"):
            return Change(what, "left alone", "Grafana was provisioned with it")
        # The token cannot be read back: only the datasource's health shows whether it is right.
        secret = {"secureJsonData"}
        if (
            not differs({k: v for k, v in wanted.items() if k not in secret}, found)
            and self._source_health().works
        ):
            return Change(what, "unchanged")
        self._ask(lambda: self._api.datasource.update_datasource_by_uid(uid, wanted))
        return Change(what, "updated")

    def _source_health(self) -> GrafanaCheck:
        uid = parts.DATASOURCE["uid"]
        what = f"datasource {uid}"
        try:
            health = self._found(lambda: self._api.datasource.health(uid))
        except EcgwatchError as error:  # Grafana answers 400 if the store does not answer it
            return GrafanaCheck(what, False, error.problem)
        if health is None:
            return GrafanaCheck(what, False, "missing; `ecgwatch dashboards push` makes it")
        return GrafanaCheck(what, health["status"] == "OK", health["message"])

    def _board(self, board: Json) -> Change:
        for attempt in range(1, TRIES + 1):
            try:
                return self._board_once(board)
            except GrafanaClientError as error:
                if error.status_code != CHANGED_MEANWHILE or attempt == TRIES:
                    raise self._refused(error) from error
        raise AssertionError

    def _board_once(self, board: Json) -> Change:
        """Push a board once. Raises GrafanaClientError with status 412 if somebody has saved the
        board since it was read."""
        what, uid = f"board {board['title']}", board["uid"]
        found = self._found(lambda: self._api.dashboard.get_dashboard(uid))
        if found and found["meta"].get("provisioned"):
            return Change(what, "left alone", "Grafana was provisioned with it")
        where = differs(board, found["dashboard"]) if found else ""
        if found and not where and found["meta"].get("folderUid") == FOLDER_UID:
            return Change(what, "unchanged")
        version = {"version": found["dashboard"]["version"]} if found else {}
        payload = {
            "dashboard": {**board, **version},
            "folderUid": FOLDER_UID,
            "message": MESSAGE,
            "overwrite": False,
        }
        self._ask(
            lambda: self._api.dashboard.update_dashboard(payload), passed_on=CHANGED_MEANWHILE
        )
        return (
            Change(what, "updated", where or "moved into its folder")
            if found
            else Change(what, "created")
        )

    def _rules(self) -> Change:
        what, wanted, found = "alert rules", _rule_group(), self._rule_group()
        if found and any(rule.get("provenance") == "file" for rule in found["rules"]):
            return Change(what, "left alone", "Grafana was provisioned with them")
        where = differs(wanted, found) if found else ""
        if found and not where:
            return Change(what, "unchanged")
        update = self._api.alertingprovisioning.update_rule_group
        # Without provenance people may change a threshold in Grafana; the next push reports that
        # and restores it.
        self._ask(lambda: update(alerts.FOLDER_UID, alerts.GROUP, wanted, disable_provenance=True))
        return Change(what, "updated", where) if found else Change(what, "created")

    def _rule_group(self) -> Json | None:
        found = self._found(
            lambda: self._api.alertingprovisioning.get_rule_group(alerts.FOLDER_UID, alerts.GROUP)
        )
        return found if found and found.get("rules") else None

    def _compared(self, what: str, found: Any, wanted: Json) -> GrafanaCheck:
        if not found:
            return GrafanaCheck(what, False, "missing; `ecgwatch dashboards push` makes it")
        where = differs(wanted, found)
        return GrafanaCheck(
            what, not where, f"differs from ecgwatch's: {where}" if where else "as ecgwatch's"
        )

    def _found(self, call: Callable[[], T]) -> T | None:
        """The answer, or None if the thing does not exist."""
        try:
            return self._ask(call, passed_on=NOT_FOUND)
        except GrafanaClientError:
            return None

    def _ask(self, call: Callable[[], T], passed_on: int = 0) -> T:
        """The answer. A refusal with the status `passed_on` is raised as it is, for the caller to
        deal with."""
        try:
            return call()
        except GrafanaException as error:
            if error.status_code == passed_on and passed_on:
                raise
            raise self._refused(error) from error
        except (niquests.exceptions.RequestException, OSError) as error:
            raise self._silent(error) from error

    def _silent(self, error: Exception) -> UnreachableError:
        remedy = "Start it, or give its address: --url http://HOST:3000 (ECGWATCH_GRAFANA)."
        return UnreachableError(f"no Grafana answers at {self.url}: {type(error).__name__}", remedy)

    def _refused(self, error: GrafanaException) -> EcgwatchError:
        if not 400 <= error.status_code < 500:
            return self._silent(error)
        remedies = {
            401: "Give a service account's token (role Admin) or USER:PASSWORD: --token (ECGWATCH_GRAFANA_TOKEN).",
            403: "The service account needs the role Admin.",
            CHANGED_MEANWHILE: "Somebody is saving the same board just now: run it again.",
        }
        remedy = remedies.get(error.status_code, "Look at Grafana's log.")
        return BadInputError(f"Grafana at {self.url} refuses: {error.message}", remedy)


def differs(wanted: Any, found: Any, path: str = "") -> str:
    """Path of the first difference between `found` and `wanted`, "" if there is none. `found` may
    have further keys, and may lack empty values: Grafana adds and drops those."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return next(
            (
                where
                for key, value in wanted.items()
                if (where := differs(value, found.get(key), f"{path}.{key}"))
            ),
            "",
        )
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return next(
            (where for i, (one, other) in pairs if (where := differs(one, other, f"{path}[{i}]"))),
            "",
        )
    return "" if wanted == found or (not wanted and not found) else path.lstrip(".")


def _source(source: DataSource) -> Json:
    return {
        "name": "ecgwatch",
        **parts.DATASOURCE,
        "access": "proxy",
        "url": source.url,
        "isDefault": False,
        "jsonData": {
            "version": "Flux",
            "organization": source.org,
            "defaultBucket": source.bucket,
            **({"tlsAuthWithCACert": True} if source.ca else {}),
        },
        "secureJsonData": {
            "token": source.token,
            **({"tlsCACert": source.ca} if source.ca else {}),
        },
    }


def _rule_group() -> Json:
    place = {"orgID": 1, "folderUID": alerts.FOLDER_UID, "ruleGroup": alerts.GROUP}
    rules = [{**rule, **place} for rule in alerts.rules()]
    return {
        "title": alerts.GROUP,
        "folderUid": alerts.FOLDER_UID,
        "interval": alerts.INTERVAL_S,
        "rules": rules,
    }
