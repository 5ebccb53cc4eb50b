"""What a run tells at its end: the fault matrix, and the figures that tests recorded.

The matrix: which faults the run put the programs through, and how many they survived.

A test with `@pytest.mark.fault("E2")` is one case of that row; one that takes the fixture
`fault_cases` is as many as it counts. What the rows are stands in tests/support/faults.py.
A figure is what a test gives to `record_property` under the name FIGURES.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests.support.faults import FaultCases

PROPERTY = "fault"
FIGURES = "figures"

settings.register_profile("agentaflow", deadline=None)  # a busy machine is no failure
settings.load_profile("agentaflow")


_CASES = pytest.StashKey[FaultCases]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault(row): a case of this row of the fault matrix")


@pytest.fixture
def fault_cases(request: pytest.FixtureRequest) -> FaultCases:
    cases: FaultCases = request.node.stash.setdefault(_CASES, FaultCases())
    return cases


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds (row, survived, cases, skipped) to the report that tells what became of the test."""
    report = yield
    marker = item.get_closest_marker("fault")
    if marker and (report.when == "call" or (report.when == "setup" and not report.passed)):
        cases = item.stash.get(_CASES, FaultCases())
        survived = cases.survived or int(report.passed)
        failed = len(cases.failures) or int(report.failed)
        tally = [marker.args[0], survived, survived + failed, int(report.skipped)]
        report.user_properties.append((PROPERTY, tally))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for name, value in _told(terminalreporter):
        if name == PROPERTY:
            row, *counts = value
            rows[row] = [a + b for a, b in zip(rows[row], counts, strict=True)]
        if name == FIGURES:
            terminalreporter.section(FIGURES)
            terminalreporter.write_line(value)
    if rows:
        terminalreporter.section("fault matrix")
        total = [sum(column) for column in zip(*rows.values(), strict=True)]
        parts = [f"{row} {_said(rows[row])}" for row in sorted(rows, key=_order)]
        terminalreporter.write_line(f"survived: {', '.join(parts)}; total {_said(total)}")


def _told(terminalreporter: pytest.TerminalReporter) -> Iterator[tuple[str, Any]]:
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "teardown":  # it repeats those of the call
                yield from getattr(report, "user_properties", ())


def _said(counts: list[int]) -> str:
    survived, cases, skipped = counts
    return f"{survived:,}/{cases:,}" + (f" ({skipped} skipped)" if skipped else "")


def _order(row: str) -> tuple[str, int]:
    return row[:1], int(row[1:])
