"""A server that answers as Grafana's HTTP API does, its state in memory: Grafana itself cannot be
had where these tests run.

What it knows of Grafana 12 is its documentation of the HTTP API: the paths that `ecgwatch
dashboards` uses, 401 without the token, 404, 412 for a board that was saved since (version), 400
for a provisioned board, 403 for a datasource that is read-only, defaults added to what is stored.
"""

from __future__ import annotations

import base64
import copy
import http.server
import json
import re
import threading
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Answer = tuple[int, Json]
TOKEN, PASSWORD = "glsa_test", "admin:s3cret"


class FakeGrafana:
    """.url; `writes` are the requests that changed something, `lines` what came to Grafana Live."""

    def __init__(self) -> None:
        self.folders: dict[str, Json] = {}
        self.sources: dict[str, Json] = {}
        self.boards: dict[str, Json] = {}
        self.groups: dict[tuple[str, str], Json] = {}
        self.writes: list[str] = []
        self.lines: list[tuple[str, str]] = []  # stream, line
        self.pushes: list[int] = []  # how many lines each had
        self.version = "12.4.3"
        self.works = True
        self.store_answers = True
        self.before_save: Callable[[], None] = lambda: None  # what somebody else does meanwhile
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, answer = fake.answer(
                    self.command, self.path.removeprefix("/api"), dict(self.headers), body
                )
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Status and answer to a request."""
        if not self.works:
            return 503, {"message": "starting"}
        if path == "/health":
            return 200, {"database": "ok", "version": self.version}
        basic = "Basic " + base64.b64encode(PASSWORD.encode()).decode()
        if headers.get("Authorization") not in (f"Bearer {TOKEN}", basic):
            return 401, {"message": "Unauthorized"}
        for route, handler in self.routes.items():
            if found := re.fullmatch(route, f"{method} {path}"):
                if method != "GET":
                    self.writes.append(f"{method} {path}")
                if handler == "live":
                    return self.live(found.group(1), body.decode())
                return getattr(self, handler)(
                    *found.groups(), *([json.loads(body)] if body else [])
                )  # type: ignore[no-any-return]
        return 404, {"message": f"no such path {method} {path}"}

    routes = {  # noqa: RUF012
        r"GET /folders/([\w-]+)": "folder",
        r"POST /folders": "new_folder",
        r"PUT /folders/([\w-]+)": "change_folder",
        r"GET /datasources/uid/([\w-]+)": "source",
        r"GET /datasources/uid/([\w-]+)/health": "source_health",
        r"POST /datasources": "new_source",
        r"PUT /datasources/uid/([\w-]+)": "change_source",
        r"GET /dashboards/uid/([\w-]+)": "board",
        r"POST /dashboards/db": "save_board",
        r"GET /v1/provisioning/folder/([\w-]+)/rule-groups/([\w-]+)": "group",
        r"PUT /v1/provisioning/folder/([\w-]+)/rule-groups/([\w-]+)": "save_group",
        r"POST /live/push/([\w-]+)": "live",
    }

    def folder(self, uid: str) -> Answer:
        return (
            (200, self.folders[uid])
            if uid in self.folders
            else (404, {"message": "folder not found"})
        )

    def new_folder(self, folder: Json) -> Answer:
        self.folders[folder["uid"]] = {"version": 1, **folder}
        return 200, self.folders[folder["uid"]]

    def change_folder(self, uid: str, folder: Json) -> Answer:
        self.folders[uid] |= {"title": folder["title"], "version": self.folders[uid]["version"] + 1}
        return 200, self.folders[uid]

    def source(self, uid: str) -> Answer:
        if uid not in self.sources:
            return 404, {"message": "data source not found"}
        shown = {key: value for key, value in self.sources[uid].items() if key != "secureJsonData"}
        return 200, {
            "readOnly": False,
            "basicAuth": False,
            **shown,
            "secureJsonFields": {"token": True},
        }

    def source_health(self, uid: str) -> Answer:
        if uid not in self.sources:
            return 404, {"message": "data source not found"}
        if (
            self.store_answers
            and self.sources[uid].get("secureJsonData", {}).get("token") == "right"
        ):
            return 200, {"status": "OK", "message": "datasource is working. 2 buckets found"}
        return 400, {"status": "ERROR", "message": "error reading buckets: unauthorized"}

    def new_source(self, source: Json) -> Answer:
        self.sources[source["uid"]] = {"id": len(self.sources) + 1, "version": 1, **source}
        return 200, {"datasource": self.sources[source["uid"]], "message": "Datasource added"}

    def change_source(self, uid: str, source: Json) -> Answer:
        if self.sources[uid].get("readOnly"):
            return 403, {"message": "Cannot update read-only data source"}
        self.sources[uid] |= source
        return 200, {"message": "Datasource updated"}

    def board(self, uid: str) -> Answer:
        return (
            (200, self.boards[uid])
            if uid in self.boards
            else (404, {"message": "Dashboard not found"})
        )

    def save_board(self, payload: Json) -> Answer:
        change, self.before_save = self.before_save, lambda: None
        change()
        board, uid = copy.deepcopy(payload["dashboard"]), payload["dashboard"]["uid"]
        known = self.boards.get(uid)
        if known and known["meta"]["provisioned"]:
            return 400, {"message": "Cannot save provisioned dashboard"}
        if (
            known
            and not payload["overwrite"]
            and board.get("version") != known["dashboard"]["version"]
        ):
            return 412, {
                "message": "The dashboard has been changed by someone else",
                "status": "version-mismatch",
            }
        if payload["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        version = known["dashboard"]["version"] + 1 if known else 1
        for panel in board["panels"]:  # defaults of the model, as Grafana adds them
            panel.setdefault("transparent", False)
            if not panel["description"]:
                del panel["description"]
        meta = {"provisioned": False, "folderUid": payload["folderUid"]}
        self.boards[uid] = {"dashboard": {**board, "id": 7, "version": version}, "meta": meta}
        return 200, {"uid": uid, "version": version, "status": "success"}

    def group(self, folder: str, name: str) -> Answer:
        return (
            (200, self.groups[folder, name])
            if (folder, name) in self.groups
            else (404, {"message": "rule group not found"})
        )

    def save_group(self, folder: str, name: str, group: Json) -> Answer:
        if folder not in self.folders:
            return 400, {"message": "folder does not exist"}
        added = {"id": 1, "updated": "2026-01-01T00:00:00Z", "keep_firing_for": "0s"}
        self.groups[folder, name] = {
            **group,
            "rules": [{**rule, **added} for rule in group["rules"]],
        }
        return 200, self.groups[folder, name]

    def live(self, stream: str, text: str) -> Answer:
        lines = text.splitlines()
        self.lines += [(stream, line) for line in lines]
        self.pushes.append(len(lines))
        return 200, {}
