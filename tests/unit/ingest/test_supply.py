"""The bill of materials and the audit, on the lock that ships."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

TOOLS = Path(__file__).parents[3] / "tools"


def tool(name: str) -> ModuleType:
    sys.path.insert(0, str(TOOLS))
    try:
        spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(TOOLS))


def test_every_locked_package_is_in_the_bill_with_its_hashes() -> None:
    sbom = tool("sbom")
    lock = sbom.LOCK.read_text()
    bill = sbom.bill(lock, "0.1.0")
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    pinned = {line.split("==")[0].lower() for line in lock.splitlines() if "==" in line[:60]}
    assert {c["name"] for c in bill["components"]} == {name.replace("_", "-") for name in pinned}
    assert all(c["hashes"] and c["purl"].startswith("pkg:pypi/") for c in bill["components"])
    assert bill == sbom.bill(lock, "0.1.0")


def test_the_audit_names_what_is_known_to_be_vulnerable() -> None:
    audit = tool("audit")
    asked = audit.questions("a==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\nb==2\n")
    assert [q["package"]["name"] for q in asked] == ["a", "b"]
    answer = {"results": [{}, {"vulns": [{"id": "GHSA-1"}, {"id": "PYSEC-2"}]}]}
    assert audit.findings(asked, answer) == ["b 2: GHSA-1, PYSEC-2"]
