"""The only room that may change a cluster."""
