"""Each alert changed in every small way there is: the real promtool's tests of it notice."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.alert_mutants import survivors

ALERTS = Path(__file__).parents[2] / "alerts"
ALERT_RULES = {
    rule["alert"]: rule
    for path in sorted((ALERTS / "rules").glob("*.yaml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
TO_THE_LAST_BIT = "an amount of money is hardly ever the budget to its last bit"
EITHER_WILL_DO = "`and` compares all labels, so that one of both would do; two read less"
NOT_NOTICED = {
    "AgentaflowCostBurnsFast": {">= for >": TO_THE_LAST_BIT, ">= for > #2": TO_THE_LAST_BIT},
    "AgentaflowCostBurnsSlowly": {">= for >": TO_THE_LAST_BIT, ">= for > #2": TO_THE_LAST_BIT},
    "AgentaflowPowerThrottling": {
        'without reason="sw_power_cap"': EITHER_WILL_DO,
        'without reason="sw_power_cap" #2': EITHER_WILL_DO,
    },
    "AgentaflowGpuHeldIdle": {
        'without engine="gpu"': EITHER_WILL_DO,
        'without engine="gpu" #2': EITHER_WILL_DO,
    },
}


@pytest.mark.parametrize("name", ALERT_RULES)
def test_the_tests_notice_each_small_change_of_an_alert(
    promtool: Path, tmp_path: Path, name: str
) -> None:
    """No label matcher, bound, window, wait or rounding is without a test, save NOT_NOTICED."""
    left = survivors(promtool, ALERTS, ALERT_RULES[name], tmp_path)
    assert left == set(NOT_NOTICED.get(name, ()))
