"""AgentaFlow's Prometheus exporter for NVIDIA GPUs."""

__version__ = "0.1.0"  # read here, because importlib.metadata costs the exporter 3 MiB
