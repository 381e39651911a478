"""Records by PhysioNet name: found in the data folder, else downloaded once, else an error that
names the folder."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import wfdb

from ingest.errors import BadInputError, UnreachableError
from ingest.sources.open import open_source


class QuietHandler(SimpleHTTPRequestHandler):
    asked: list[str]

    def log_message(self, *args):
        self.asked.append(self.path)


@pytest.fixture
def physionet(tmp_path, monkeypatch):
    """A site laid out as PhysioNet is; the paths that were asked for."""
    site = tmp_path / "site"
    files = site / "files/mydb/1.2.0/sub"
    files.mkdir(parents=True)
    (site / "content/mydb/1.2.0").mkdir(parents=True)
    (site / "content/mydb/index.html").write_text("<html>\n<p>Version: 1.2.0</p>\n</html>")
    wfdb.wrsamp(
        "x1",
        fs=250,
        units=["mV"],
        sig_name=["ECG"],
        p_signal=np.sin(np.arange(2500) / 40)[:, None],
        fmt=["16"],
        write_dir=str(files),
    )
    wfdb.wrann("x1", "atr", np.array([100, 300]), ["N", "V"], write_dir=str(files))
    handler = type("Handler", (QuietHandler,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("wfdb.io.download.PN_CONTENT_URL", f"{address}/content/")
        monkeypatch.setattr("wfdb.io.download.config.db_index_url", f"{address}/files/")
        yield handler.asked
        server.shutdown()
        thread.join()


def test_a_record_is_downloaded_with_its_annotations_and_kept(physionet, tmp_path, capsys):
    data = tmp_path / "data"
    source = open_source("mydb/sub/x1", data=data)
    blocks = list(source.blocks())
    assert sum(len(b.counts) for b in blocks) == 2500
    assert [a.symbol for b in blocks for a in b.annotations] == ["N", "V"]
    assert {f.name for f in (data / "mydb/sub").iterdir()} == {"x1.hea", "x1.dat", "x1.atr"}
    assert capsys.readouterr().out == ""

    asked = len(physionet)
    assert open_source("mydb/sub/x1", data=data).duration_s == 10
    assert len(physionet) == asked, "the second time it comes from the folder"


@pytest.mark.parametrize("name", ["mydb/nothing", "nodb/x1"])
def test_what_physionet_does_not_have(physionet, tmp_path, name):
    with pytest.raises(BadInputError, match="unknown to PhysioNet"):
        open_source(name, data=tmp_path / "data")
    assert not (tmp_path / "data" / name).with_suffix(".hea").exists()


def test_offline_the_error_names_the_folder_to_put_the_record_in(tmp_path, monkeypatch):
    monkeypatch.setattr("wfdb.io.download.PN_CONTENT_URL", "http://127.0.0.1:1/")
    with pytest.raises(UnreachableError) as caught:
        open_source("mitdb/208", data=tmp_path / "data")
    assert str(tmp_path / "data/mitdb") in caught.value.remedy
    assert "208.hea" in caught.value.remedy
    assert caught.value.exit_code == 3
