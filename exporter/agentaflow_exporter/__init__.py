"""AgentaFlow's Prometheus exporter for NVIDIA GPUs."""
