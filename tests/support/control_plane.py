"""A real control plane."""

from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import eventually

__all__ = ["MERGE_PATCH", "ControlPlane", "eventually"]
