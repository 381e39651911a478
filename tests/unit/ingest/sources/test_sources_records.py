"""Records of the databases at hand read as wfdb reads them whole."""

import numpy as np
import pytest
import wfdb

from ingest.sources.open import open_source


@pytest.mark.parametrize(
    ("record", "lead", "fs_hz", "beats"),
    [
        ("mitdb/208", "MLII", 360, 2955),  # 212, offset 1024
        ("nstdb/118e06", "MLII", 360, 2278),  # 16, offset 1024
        ("cinc2017/A00002", "ECG", 300, 0),  # .mat
        ("cinc2015/a104s", "II", 250, 0),  # 9902 counts per mV
        ("vfdb/418", "ECG", 250, 0),  # two signals of one name
        ("ludb/1", "i", 500, 0),
    ],
)
def test_record(data_dir, record, lead, fs_hz, beats):
    if not (data_dir / f"{record}.hea").exists():
        pytest.skip(f"{record} is not in {data_dir}")
    source = open_source(record, data=data_dir)
    assert (source.lead, source.fs_hz) == (lead, fs_hz)
    blocks = list(source.blocks())
    millivolts = np.concatenate([b.counts for b in blocks]) / source.counts_per_mv
    whole, _ = wfdb.rdsamp(str(data_dir / record), channels=[0])
    np.testing.assert_allclose(millivolts, whole[:, 0], atol=1e-9)
    assert not any(b.lead_off for b in blocks)
    assert sum(a.symbol in "NLRBAaJSVrFejnE/fQ" for b in blocks for a in b.annotations) == beats
