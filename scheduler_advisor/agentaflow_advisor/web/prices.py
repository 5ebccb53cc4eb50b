"""What a GPU of each node costs an hour, as a metric: boards multiply it by who holds which GPU."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from agentaflow_advisor.advice import Advice
from agentaflow_advisor.price import NodePrice


def price_metrics(advice: Advice) -> Iterator[Metric]:
    """A series for each node with a price; one without has none, so that it is never free."""
    price = GaugeMetricFamily(
        "agentaflow_advisor_gpu_price_per_hour",
        "What a GPU of the node costs an hour, in units of the currency: the node's price over "
        "its GPUs.",
        labels=["cluster", "node", "currency"],
    )
    for (cluster, node), found in sorted(advice.prices.items()):
        if isinstance(found, NodePrice):
            amount = found.per_gpu_hour_whole
            price.add_metric([cluster, node, amount.currency], float(amount.amount))
    yield price
