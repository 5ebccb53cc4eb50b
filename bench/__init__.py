"""The figures of the README, printed by us and a peer side by side in one run: `make bench`."""
