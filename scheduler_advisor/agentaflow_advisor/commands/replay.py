"""replay: what a strategy would have made of lists of nodes and pods, over several seeds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Annotated

import typer

from agentaflow_advisor.commands.html import write
from agentaflow_advisor.commands.runs import SEEDS, Dask, Jobs, Seeds, executor, known, numbers
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.configuration import SettingsError
from agentaflow_advisor.place.replays import Outcome, Replay
from agentaflow_advisor.place.scorers import KINDS, OURS, WEIGHTS
from agentaflow_advisor.place.seeds import Spread
from agentaflow_advisor.place.traces import demands, machines
from agentaflow_advisor.render import Column, counted, plain
from agentaflow_advisor.reports.replayed import plot as drawn

_SHOWN = (80, 90, 100, 110, 130)


Nodes = Annotated[
    Path, typer.Option(metavar="FILE", help="Nodes as CSV: sn, cpu_milli, memory_mib, gpu, model.")
]
Pods = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help="Pods as CSV: name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec.",
    ),
]
Strategies = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help=f"One of {', '.join(kind.name for kind in KINDS)}; repeatable; ours if none. "
        f"{OURS.name}:WEIGHT=NUMBER,… changes what its parts count ({', '.join(WEIGHTS)}).",
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Draw what was allocated and fragmented by load, as SVG."),
]
WithBound = Annotated[
    bool,
    typer.Option("--bound", help="Also what no placement can go below (needs the extra `bound`)."),
]


@command()
def replay(
    session: Session,
    nodes: Nodes,
    pods: Pods,
    strategy: Strategies = None,
    seeds: Seeds = SEEDS,
    jobs: Jobs = 0,
    dask: Dask = None,
    plot: Plot = None,
    bound: WithBound = False,
) -> int:
    """Let pods arrive at an empty cluster until it overflows, and say what stays unallocated.

    The experiment of the FGD paper (USENIX ATC 2023): pods come in random order, then drawn again,
    until 1.3 times the cluster's GPUs were asked for; none leaves.
    """
    names = [known(name) for name in strategy or [OURS.name]]
    chosen = numbers(seeds)
    fleet = machines(nodes)
    work = Replay(
        tuple(fleet), tuple(demands(pods, [one.model for one in fleet])), time.process_time
    )
    label = f"{len(names) * len(chosen)} runs"
    with executor(jobs, dask) as pool, session.output.bar(label) as advance:
        outcomes = work.compare(names, chosen, pool, advance)
        least = _bound(work, chosen, pool) if bound else None
    if plot is not None:
        write(plot, drawn(outcomes, least))
    if session.output.as_json:
        first, *others = outcomes
        document: dict[str, object] = {
            "nodes": str(nodes),
            "pods": str(pods),
            "gpus": sum(one.gpus for one in fleet),
            **plain(first),
            "others": others,
        }
        if least is not None:
            document["bound_percent"] = least
        session.output.document(document)
        return 0
    _show(session, outcomes, least)
    return 0


def _bound(work: Replay, seeds: list[int], pool: Executor) -> Mapping[str, Spread]:
    try:
        return work.bound(seeds, pool)
    except ImportError as error:
        raise SettingsError(
            f"--bound: {error.name} is not installed: pip install 'agentaflow[bound]'"
        ) from error


def _show(
    session: Session, outcomes: Sequence[Outcome], least: Mapping[str, Spread] | None
) -> None:
    columns = [Column("STRATEGY"), *(Column(f"AT {load} %", right=True) for load in _SHOWN)]
    columns += [Column("FRAGMENTED", right=True), Column("SECONDS", right=True)]
    rows = [
        (
            one.strategy,
            *(_percent(one.unallocated_percent, load) for load in _SHOWN),
            f"{one.fragmented_percent_at_end.mean:.0f} %",
            f"{one.seconds_per_seed:.2f}",
        )
        for one in outcomes
    ]
    if least is not None:
        rows.append(("at least", *(_percent(least, load) for load in _SHOWN), "", ""))
    session.output.table(columns, rows)
    session.output.line(
        "GPUs left unallocated when so many were asked for, in percent, mean ± sd of "
        f"{counted(len(outcomes[0].seeds), 'seed')}; fragmented: of what is idle at the end; "
        "seconds of CPU for each seed"
    )


def _percent(by_load: Mapping[str, Spread], load: int) -> str:
    spread = by_load[str(load)]
    return f"{spread.mean:.2f} ± {spread.sd:.2f}"
