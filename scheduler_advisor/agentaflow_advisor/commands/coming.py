"""The options that say what comes to a simulated cluster, and what they come to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from agentaflow_advisor.configuration import SettingsError
from agentaflow_advisor.durations import seconds
from agentaflow_advisor.place.benchmark import Machine
from agentaflow_advisor.place.jobtraces import jobs as read_jobs
from agentaflow_advisor.place.jobtraces import moment
from agentaflow_advisor.place.traces import demands, machines
from agentaflow_advisor.place.workloads import Recorded, Synthetic, Workload, nodes_for, uniform

Trace = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Jobs as CSV: timestamp, duration, num_gpus; cluster (the queue), name, priority.",
    ),
]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="Of the trace, jobs from then on.")]
Window = Annotated[str | None, typer.Option(metavar="DURATION", help="And for so long: 28d.")]
NumNodes = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100_000,
        metavar="N",
        help="Nodes; without it, of a trace, as many as --load says.",
    ),
]
GpusPerNode = Annotated[int, typer.Option(min=1, max=64, metavar="N", help="For a trace.")]
Load = Annotated[
    float,
    typer.Option(metavar="RATIO", help="GPUs asked for at a time, of those there are: 0.01 to 10."),
]
Nodes = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Nodes as CSV, as for replay; with --pods.")
]
Pods = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Pods as CSV, as for replay: their times are drawn."),
]
NumJobs = Annotated[int, typer.Option(min=1, max=10_000_000, metavar="N", help="With --pods.")]
Median = Annotated[
    str, typer.Option(metavar="DURATION", help="With --pods: the median of log-normal durations.")
]
Sigma = Annotated[
    float,
    typer.Option(metavar="SIGMA", help="With --pods: the sigma of their logarithm, 0 to 4."),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """Of what comes, as it was asked for."""

    trace: Path | None
    since: str | None
    window: str | None
    num_nodes: int | None
    gpus_per_node: int
    load: float
    nodes: Path | None
    pods: Path | None
    num_jobs: int
    median: str
    sigma: float

    def workload(self) -> Workload:
        """Raises SettingsError and TraceError."""
        within("--load", self.load, 0.01, 10)
        within("--sigma", self.sigma, 0, 4)
        if self.trace and not (self.nodes or self.pods):
            return self._recorded(self.trace)
        if self.nodes and self.pods and not self.trace:
            return self._synthetic(self.nodes, self.pods)
        raise SettingsError(
            "simulate: give --trace FILE with jobs, or --nodes FILE and --pods FILE whose times "
            "are drawn"
        )

    def _recorded(self, trace: Path) -> Recorded:
        try:
            since = None if self.since is None else moment(self.since)
        except ValueError as error:
            raise SettingsError(
                f"--since {self.since}: give a time such as 2017-10-02 or 2017-10-02T12:00"
            ) from error
        span = math.inf if self.window is None else seconds_of("--window", self.window)
        jobs = read_jobs(trace, self.gpus_per_node, since, span)
        if math.isinf(span):
            span = max(1.0, jobs[-1].submitted)
        count = self.num_nodes or nodes_for(jobs, span, self.gpus_per_node, self.load)
        return Recorded(uniform(count, self.gpus_per_node), tuple(jobs), span)

    def _synthetic(self, nodes: Path, pods: Path) -> Synthetic:
        there: list[Machine] = machines(nodes)
        if self.num_nodes and self.num_nodes > len(there):
            raise SettingsError(f"--num-nodes {self.num_nodes}: {nodes} has {len(there)} with GPUs")
        return Synthetic(
            tuple(there),
            tuple(demands(pods, [one.model for one in there])),
            self.num_jobs,
            self.load,
            seconds_of("--median", self.median) or 1.0,
            self.sigma,
            self.num_nodes,
        )


def within(option: str, value: float, least: float, most: float) -> None:
    """Raises SettingsError where it is not."""
    if not least <= value <= most:  # nothing compares with NaN
        raise SettingsError(f"{option} {value:g}: give a number from {least:g} to {most:g}")


def seconds_of(option: str, text: str) -> float:
    """More than 0. Raises SettingsError."""
    try:
        value = float(str(seconds(text)))
    except ValueError as error:
        raise SettingsError(f"{option} {text}: {error}") from error
    if not 0 < value < math.inf:
        raise SettingsError(f"{option} {text}: give more than 0 seconds")
    return value
