"""`ecgwatch check` against what is there and what is not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import typer

from ecgwatch.commands.upkeep.check import check
from stream_processor.sinks.sqlite import SqliteSink


@pytest.fixture
def grafana() -> Iterator[str]:
    """Its health page, which is all that check looks at (Grafana itself is in no package registry)."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/health" else 404)
            self.end_headers()
            self.wfile.write(
                json.dumps({"version": "12.1.0", "database": "ok", "commit": "x"}).encode()
            )

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_all_is_well(broker, tmp_path, capsys):
    SqliteSink(tmp_path / "events.db").close()
    check(broker=broker.address, sink=f"sqlite:{tmp_path / 'events.db'}")
    text = capsys.readouterr().out
    assert "embedded broker" in text or "Apache Kafka 4.3 at" in text
    assert (
        "all topics are there" if "embedded broker" in text else "`ecgwatch topics create`"
    ) in text
    assert "SQLite 3" in text
    assert f"broker        {broker.address}  (option)" in text
    assert "influx_bucket events  (default)" in text
    assert "PROBLEM" not in text


def test_looking_makes_no_file(tmp_path, capsys):
    with pytest.raises(typer.Exit):
        check(broker="127.0.0.1:9", sink=f"sqlite:{tmp_path / 'events.db'}")
    assert "events.db is not there yet" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_influxdb_and_grafana_answer_and_no_secret_is_shown(
    broker, influxdb, grafana, monkeypatch, capsys
):
    monkeypatch.setenv("ECGWATCH_INFLUX_TOKEN", influxdb.token)
    monkeypatch.setenv("ECGWATCH_GRAFANA", grafana.replace("//", "//admin:s3cret@"))
    check(broker=broker.address, sink=f"influxdb:{influxdb.url}")
    text = capsys.readouterr().out
    assert f"at {influxdb.url}, org ecgwatch, bucket events" in text
    assert "Grafana 12.1.0" in text
    assert "influx_token  ********  (environment)" in text
    assert influxdb.token not in text
    assert "s3cret" not in text


@pytest.mark.parametrize(
    "sink", ["influxdb:http://me:s3:cr@t@127.0.0.1:9", "influxdb:http://127.0.0.1:9?token=s3:cr@t"]
)
def test_no_secret_of_an_address_is_shown(sink, monkeypatch, capsys):
    monkeypatch.setenv("ECGWATCH_INFLUX_TOKEN", "t0ken")
    monkeypatch.setenv("ECGWATCH_KAFKA_PASSWORD", "pa55word")
    with pytest.raises(typer.Exit):
        check(broker="127.0.0.1:9", sink=sink)
    text = capsys.readouterr().out
    assert "********" in text
    assert not any(secret in text for secret in ("s3:cr", "cr@t", "t0ken", "pa55word"))


def test_nothing_answers(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("ECGWATCH_INFLUX_TOKEN", "t")
    monkeypatch.setenv("ECGWATCH_GRAFANA", "http://127.0.0.1:9")
    with pytest.raises(typer.Exit) as caught:
        check(broker="127.0.0.1:9", sink="influxdb:http://127.0.0.1:9")
    assert caught.value.exit_code == 3
    text = capsys.readouterr().out
    assert text.count("PROBLEM") == 3
    for remedy in (
        "--broker HOST:PORT",
        "Is it running, and is the URL right?",
        "set ECGWATCH_GRAFANA",
    ):
        assert remedy in text
