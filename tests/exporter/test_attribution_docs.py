"""docs/attribution.md says what the exporter does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentaflow_exporter.attribution.devices import Inventory
from agentaflow_exporter.attribution.kubelet import LONGEST_SECONDS
from agentaflow_exporter.collectors.pods import POD_INFO
from agentaflow_exporter.options import OPTIONS
from tests.support.promql import undeclared
from tests.support.scraping import UUIDS

PAGE = Path("docs/attribution.md").read_text()
QUERIES = re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("query", QUERIES)
def test_queries(query: str) -> None:
    """Each parses, and uses metrics and labels that there are."""
    assert undeclared(query) == set()


def test_flags_and_labels() -> None:
    """Flags are the exporter's, each of attribution has its place, and so have the labels."""
    named = set(re.findall(r"--(attribution[a-z.-]+)", PAGE))
    assert named == {o.name for o in OPTIONS if o.name.startswith("attribution.")}
    head = PAGE.partition("## Sources")[0]
    assert set(re.findall(r"`([a-z_]+)`", head)) == {POD_INFO.name, *POD_INFO.labels}
    assert f"for {LONGEST_SECONDS:g} s at most" in PAGE


def test_device_ids() -> None:
    """Every form in the table is found."""
    rows = PAGE.partition("| Device id |")[2].partition("\n\n")[0].splitlines()[2:]
    mig = {f"MIG-{UUIDS[0][4:]}": (UUIDS[0], "3"), f"{UUIDS[0]}/19-4": (UUIDS[0], "3")}
    inventory = Inventory([("0", UUIDS[0])], {UUIDS[0]: "0"}, mig)
    forms = [form for row in rows for form in re.findall(r"`([^`]+)`", row.split("|")[1])]
    forms = [form for form in forms if "." not in form]
    assert len(forms) >= 11
    for form in forms:
        device_id = form.replace("<uuid>", UUIDS[0][4:]).replace("<gi>", "3").replace("<ci>", "0")
        assert inventory.find(device_id) is not None, form
