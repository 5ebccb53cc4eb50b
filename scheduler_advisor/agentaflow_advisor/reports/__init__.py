"""The report for people who have no terminal: one HTML page that needs nothing else."""

from agentaflow_advisor.reports.page import Slice, page

__all__ = ["Slice", "page"]
