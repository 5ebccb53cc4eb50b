"""What the Makefile runs: real parts (Prometheus, a Kubernetes control plane), demos, set-up."""
