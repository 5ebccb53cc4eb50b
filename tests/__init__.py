"""The tests, mirroring the packages; tests/real holds what needs real parts."""
