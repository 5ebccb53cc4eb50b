"""A real Prometheus."""

from tools.prometheus import PrometheusServer, create_blocks

__all__ = ["PrometheusServer", "create_blocks"]
