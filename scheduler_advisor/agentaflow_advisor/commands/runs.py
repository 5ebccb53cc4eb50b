"""What commands that make many runs share: strategies, seeds, and where the runs are made."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Annotated

import typer

from agentaflow_advisor.configuration import SettingsError
from agentaflow_advisor.observe.errors import SchedulerUnreachable, one_line
from agentaflow_advisor.place.scorers import KINDS, MOST_WEIGHT, OURS, WEIGHTS, kind_named

_MOST_SEEDS = 1000
_RANGE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")
SEEDS = "42-51"  # those of the FGD paper
Seeds = Annotated[str, typer.Option(metavar="LIST", help="Such as 42-51, or 1,2,3.")]
Jobs = Annotated[
    int, typer.Option(min=0, max=256, metavar="N", help="Processes; 0 for one per core.")
]
Dask = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Run on the workers of this Dask scheduler, such as tcp://127.0.0.1:8786, which have "
        "agentaflow installed too (needs the extra `scale`).",
    ),
]


def known(name: str) -> str:
    """The strategy of that name. Raises SettingsError."""
    kind = kind_named(name)
    if kind is None and name.lower().replace("-", "_").startswith(f"{OURS.name}:"):
        raise SettingsError(
            f"--strategy {name}: give {OURS.name}:WEIGHT=NUMBER,… with {', '.join(WEIGHTS)} and "
            f"numbers from 0 to {MOST_WEIGHT}"
        )
    if kind is None:
        names = ", ".join(kind.name for kind in KINDS)
        raise SettingsError(f"--strategy {name}: there is none of that name: give one of {names}")
    return kind.name


def numbers(text: str) -> list[int]:
    """Numbers and ranges between commas. Raises SettingsError."""
    found: list[int] = []
    for part in text.split(","):
        told = _RANGE.fullmatch(part.strip())
        if told is None:
            raise SettingsError(f"--seeds {text}: give numbers and ranges such as 42-51 or 1,2,3")
        first, last = int(told[1]), int(told[2] or told[1])
        found += range(first, min(last, first + _MOST_SEEDS) + 1)
    if not 0 < len(found) <= _MOST_SEEDS or len(set(found)) < len(found):
        raise SettingsError(f"--seeds {text}: give 1 to {_MOST_SEEDS} different numbers")
    return found


@contextmanager
def executor(jobs: int, dask: str | None) -> Iterator[Executor]:
    """So many processes, or one for each core; or Dask's workers.

    Raises SettingsError without the extra, SchedulerUnreachable.
    """
    with _on_dask(dask) if dask else ProcessPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _on_dask(address: str) -> Iterator[Executor]:
    try:
        from agentaflow_advisor.commands.dask import Connection
    except ImportError as error:
        raise SettingsError(
            f"--dask: {error.name} is not installed: pip install 'agentaflow[scale]'"
        ) from error
    try:
        client = Connection(address)
    except (OSError, ValueError, TypeError) as error:
        raise SchedulerUnreachable(
            f"no Dask scheduler answers at {address}: {one_line(error)}. "
            "Give the address that `dask scheduler` prints."
        ) from error
    with client:
        if not client.scheduler_info().get("workers"):
            raise SchedulerUnreachable(
                f"the Dask scheduler at {address} has no workers; start `dask worker {address}`."
            )
        yield client.get_executor()
