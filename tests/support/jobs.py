"""Jobs and small clusters drawn by hypothesis, and a simulation of them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from agentaflow_advisor.place.benchmark import Machine, fleet
from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.jobs import Job
from agentaflow_advisor.place.policies import POLICIES, Policy
from agentaflow_advisor.place.quota import ClusterQueue
from agentaflow_advisor.place.scorers import kind_named
from agentaflow_advisor.place.simulation import Simulation

AGING = 50.0
QUEUES = ("a", "b", "c")
policies = st.sampled_from(sorted(POLICIES))
strategies = st.sampled_from(["best_fit", "least_waste", "fragmentation", "random", "round_robin"])
machines = st.lists(
    st.builds(
        Machine,
        st.uuids().map(str),
        st.sampled_from(["A100", "T4"]),
        st.integers(1, 4),
        st.sampled_from([4_000, 16_000]),
        st.just(64),
    ),
    min_size=1,
    max_size=3,
)
asks = st.builds(
    lambda cpu, ask, models: Demand(cpu, 1, ask[0], ask[1], models if ask[0] else -1),
    st.sampled_from([0, 1_000, 3_000]),
    st.sampled_from([(0, WHOLE), (1, 300), (1, 600), (1, WHOLE), (2, WHOLE), (4, WHOLE)]),
    st.sampled_from([-1, -1, 0b01]),
)
jobs = st.lists(
    st.builds(
        Job,
        st.uuids().map(str),
        st.integers(0, 120).map(float),
        st.integers(0, 40).map(float),
        asks,
        st.integers(1, 4),
        st.sampled_from(QUEUES),
        st.sampled_from([0, 5, 1000]),
    ),
    min_size=1,
    max_size=25,
)
limits = st.none() | st.integers(0, 4).map(lambda gpus: gpus * WHOLE)
quotas = st.tuples(
    *(
        st.builds(
            ClusterQueue,
            st.just(name),
            st.integers(0, 5).map(lambda gpus: gpus * WHOLE),
            st.sampled_from(["", "together", "together"]),
            limits,
            limits,
        )
        for name in QUEUES
    )
)


def gpu_job(name: str, at: float, lasts: float, gpus: int = 1, **changes: object) -> Job:
    """One that asks for whole GPUs only."""
    return Job(name, at, lasts, Demand(0, 0, gpus), **changes)  # type: ignore[arg-type]


def simulated(
    nodes: Sequence[Machine],
    some: Sequence[Job],
    policy: str | Policy,
    strategy: str = "best_fit",
    quota: Sequence[ClusterQueue] = (),
) -> Simulation:
    """One that has not begun yet."""
    there = fleet(nodes)
    kind = kind_named(strategy)
    assert kind is not None
    scorer = kind.make(there, [job.demand for job in some], 1)
    if isinstance(policy, str):
        policy = POLICIES[policy](some, AGING)
    return Simulation(there, scorer, policy, some, quota)


def starts(simulation: Simulation) -> dict[str, float | None]:
    """When each job started, by name."""
    return {record.job.name: record.started for record in simulation.run()}
