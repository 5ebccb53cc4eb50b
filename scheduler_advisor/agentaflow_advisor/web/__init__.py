"""What `serve` answers over HTTP: its health, metrics about itself, and the advice as JSON."""
