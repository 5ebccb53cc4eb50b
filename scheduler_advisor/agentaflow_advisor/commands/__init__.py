"""The commands of `agentaflow`, one file for each group of them."""
