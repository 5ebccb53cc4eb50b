"""Tests against real Prometheus and Kubernetes."""
