"""The same fleet through each exporter's names, in a real Prometheus: the same advice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from agentaflow_advisor.advice import SIGNALS
from agentaflow_advisor.analyses import run
from agentaflow_advisor.analyze import Findings, IdleSettings, idle
from agentaflow_advisor.model import Gpu, Snapshot
from agentaflow_advisor.observe import Prometheus, take
from agentaflow_advisor.price import PriceTable, price_nodes
from agentaflow_advisor.settings import Settings
from agentaflow_exporter.backfill import Plan
from agentaflow_exporter.simulated import SimulatedFleet
from tests.support import renamed
from tests.support.renamed import Series, save, simulate
from tools.prometheus import PrometheusServer

END = int(time.time()) // 86_400 * 86_400 - 3600
WINDOW = 6 * 3600
STEP = 120
PLAN = Plan.make(2, 8, 6, end=END, seconds=WINDOW, step=STEP)
SEEN_AS = (
    "agentaflow",
    "dcgm",
    "dcgm-4.6",
    "dcgm relabelled",
    "nvidia_gpu_exporter",
    "mixed",
    "compat only",
)

Servers = Callable[[str], PrometheusServer]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Series]]:
    """The simulated fleet's past under our names, and beside them under DCGM's."""
    folder = tmp_path_factory.mktemp("fleet")
    return {
        compat: simulate(replace(PLAN, compat=compat), folder) for compat in ("dcgm", "dcgm-4.6")
    }


def seen_as(name: str, fleet: dict[str, list[Series]]) -> Iterable[Series]:
    both = fleet["dcgm"]
    match name:
        case "agentaflow":
            return renamed.ours(both)
        case "dcgm" | "dcgm-4.6":
            return renamed.dcgm(fleet[name])
        case "dcgm relabelled":
            return renamed.dcgm_relabelled(both)
        case "nvidia_gpu_exporter":
            return renamed.nvidia_smi(both)
        case "compat only":  # --compat dcgm --no-metrics.own: agentaflow_gpu_up stays
            up = (each for each in both if each[0] == "agentaflow_gpu_up")
            return chain(up, renamed.dcgm(both))
        case _:
            return chain(
                renamed.ours(both), renamed.dcgm_relabelled(both), renamed.nvidia_smi(both)
            )


@pytest.fixture(scope="module")
def servers(
    prometheus_binary: Path,
    fleet: dict[str, list[Series]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Servers]:
    """A Prometheus for each way to see the fleet, started when it is first asked for."""
    assert prometheus_binary
    running: dict[str, PrometheusServer] = {}
    with ExitStack() as stack:

        def started(name: str) -> PrometheusServer:
            if name not in running:
                folder = tmp_path_factory.mktemp(name.replace(" ", "-"))
                blocks = save(folder / "history.om", seen_as(name, fleet))
                server = PrometheusServer(folder / "prometheus", blocks_from=blocks)
                running[name] = stack.enter_context(server)
            return running[name]

        yield started


def look(server: PrometheusServer, at: float | None = float(END), **options: Any) -> Snapshot:
    with Prometheus(server.url) as prometheus:
        return take(
            prometheus,
            window_seconds=WINDOW,
            percentile=0.95,
            cluster_state=None,
            at=at,
            **options,
        )


def found(snapshot: Snapshot) -> Findings:
    return idle.analyze(snapshot, price_nodes(snapshot, PriceTable.load()), IdleSettings())


STORIES: Mapping[str, tuple[str, ...]] = {
    "busy_training": (),
    "idle_notebook": ("idle-gpu",),
    "forgotten_process": ("forgotten-process",),
    "unallocated": ("unallocated-gpu",),
    "oversized_inference": ("smaller-gpu",),
    "ecc_errors": ("drain-gpu-node",),
    "hot_node": ("thermal-throttling",),
}
"""What each is worth; all GPUs of a hot node together."""
OTHERWISE: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "dcgm": {"ecc_errors": ("reset-gpu",)},
    "nvidia_gpu_exporter": {
        "forgotten_process": ("idle-gpu",),
        "unallocated": ("idle-gpu",),
        "oversized_inference": (),
    },
}
"""By what an exporter does not tell. DCGM has one last Xid, so that the same again is no event, and
the error is known by its counter alone; nvidia_gpu_exporter knows no pods."""
REFUSED: Mapping[str, Mapping[str, str]] = {
    "agentaflow": {},
    "dcgm": {
        "clocks of": "the power brake",
        "health of": "slowdowns by the power brake, time lost, repeats of the last Xid",
    },
    "nvidia_gpu_exporter": {
        "health of": "PCIe replays, NVLinks, time lost",
        "holders of GPUs": "nvidia_gpu_exporter knows none",
        "analysis activity": "no series tells sm_active_high",
    },
}
"""What is refused for it, as subject and reason, beside what is for pods of several GPUs and for
want of Kubernetes, whoever tells the GPUs."""
EVERYWHERE = ("fleet", "simulated/training/")


@pytest.mark.parametrize("name", ["agentaflow", "dcgm", "dcgm-4.6", "nvidia_gpu_exporter"])
def test_every_story_gets_the_same_advice_from_all_analyses(servers: Servers, name: str) -> None:
    """By kind, node and GPU; what an exporter's silence changes is listed, and refused."""
    snapshot = look(servers(name), signals=SIGNALS)
    settings = Settings.model_validate({"rightsizing_min_held_seconds": WINDOW * 0.9})
    prices = price_nodes(snapshot, PriceTable.load())
    findings = run(snapshot, prices, settings).findings
    family = name.removesuffix("-4.6")
    worth = {**STORIES, **OTHERWISE.get(family, {})}
    fleet = SimulatedFleet(PLAN.nodes, PLAN.gpus_per_node, PLAN.seed)
    stories = [fleet.truth(node, gpu) for node in fleet.nodes for gpu in range(8)]
    assert {story.name for story in stories} >= STORIES.keys()
    expected = {
        (kind, story.node, "" if story.name == "hot_node" else str(story.gpu))
        for story in stories
        for kind in worth.get(story.name, ())
    }
    assert {(e.kind, e.where.node, e.where.gpu) for e in findings.recommendations} == expected
    refused = {
        each.subject: each.reason
        for each in findings.refusals
        if not each.subject.startswith(EVERYWHERE)
    }
    assert len(refused) == len(REFUSED[family])
    for subject, reason in REFUSED[family].items():
        (said,) = (why for what, why in refused.items() if what.startswith(subject))
        assert reason in said


def gpus(snapshot: Snapshot) -> dict[str, Gpu]:
    assert len({gpu.uuid for gpu in snapshot.gpus}) == len(snapshot.gpus)
    return {gpu.uuid: gpu for gpu in snapshot.gpus}


@pytest.mark.parametrize("name", SEEN_AS[1:])
def test_the_same_fleet_gives_the_same_advice(servers: Servers, name: str) -> None:
    """Ids, kinds, GPUs, pods and savings are those of our own exporter's names."""
    expected, seen = found(look(servers("agentaflow"))), found(look(servers(name)))
    assert {each.kind for each in expected.recommendations} == {
        "idle-gpu",
        "forgotten-process",
        "unallocated-gpu",
    }
    blind = name == "nvidia_gpu_exporter"  # it knows no pods, so a GPU's holder is not known
    for ours, theirs in zip(
        sorted(expected.recommendations, key=lambda each: each.where.uuid),
        sorted(seen.recommendations, key=lambda each: each.where.uuid),
        strict=True,
    ):
        assert (ours.where.node, ours.where.gpu) == (theirs.where.node, theirs.where.gpu)
        assert (ours.where.uuid, ours.saves) == (theirs.where.uuid, theirs.saves)
        assert theirs.confidence == pytest.approx(ours.confidence, abs=0.03)
        assert theirs.evidence.promql
        if blind:
            assert theirs.kind == "idle-gpu"
        else:
            assert theirs.id == ours.id
    assert seen.refusals == expected.refusals


@pytest.mark.parametrize("name", SEEN_AS[1:])
def test_readings_are_the_same_in_our_units(servers: Servers, name: str) -> None:
    """Percent, MiB and mJ come as ratios, bytes and joules; DCGM's whole numbers are told apart."""
    expected, seen = gpus(look(servers("agentaflow"))), gpus(look(servers(name)))
    assert set(seen) == set(expected)
    for uuid, ours in expected.items():
        theirs = seen[uuid]
        assert (theirs.node, theirs.index, theirs.model) == (ours.node, ours.index, ours.model)
        assert theirs.up is True
        assert theirs.utilization
        assert ours.utilization
        assert theirs.utilization.maximum == pytest.approx(ours.utilization.maximum, abs=0.006)
        assert theirs.utilization.high == pytest.approx(ours.utilization.high, abs=0.006)
        assert theirs.utilization.mean == pytest.approx(ours.utilization.mean, abs=0.006)
        assert theirs.utilization.samples == ours.utilization.samples
        assert theirs.utilization.newest_age_seconds == ours.utilization.newest_age_seconds
        assert theirs.memory_total_bytes == pytest.approx(ours.memory_total_bytes, rel=0.001)
        assert theirs.memory_used_max_bytes == pytest.approx(
            ours.memory_used_max_bytes, abs=2.0**20
        )
        assert theirs.power_mean_watts == pytest.approx(ours.power_mean_watts, rel=0.01)
        assert theirs.energy_joules == pytest.approx(ours.energy_joules, rel=0.03)
        assert theirs.temperature_max_celsius == pytest.approx(ours.temperature_max_celsius, abs=1)
        assert theirs.present_seconds == pytest.approx(ours.present_seconds, rel=0.03)
        if name != "nvidia_gpu_exporter":
            assert theirs.pods == ours.pods
            assert [part.namespace for part in theirs.held] == [p.namespace for p in ours.held]
        for measure in set(theirs.measures) & set(ours.measures):
            assert theirs.measures[measure] == pytest.approx(
                ours.measures[measure], rel=0.03, abs=1
            ), measure


def test_which_dialects_are_there(servers: Servers) -> None:
    """Each is found by its metrics; a setting asks for one alone and says what is not there."""
    assert look(servers("dcgm relabelled")).dialects == ("dcgm",)
    assert look(servers("dcgm-4.6")).dialects == ("dcgm-4.6",)
    mixed = look(servers("mixed"))
    assert mixed.dialects == ("agentaflow", "dcgm", "nvidia_gpu_exporter")
    assert {gpu.dialect for gpu in mixed.gpus} == {"agentaflow"}
    assert {gpu.dialect for gpu in look(servers("compat only")).gpus} == {"dcgm"}
    forced = look(servers("mixed"), dialect="dcgm")
    assert {gpu.dialect for gpu in forced.gpus} == {"dcgm"}
    nothing = look(servers("dcgm"), dialect="agentaflow")
    (refusal,) = nothing.refusals
    assert "looked for agentaflow_gpu_up): check that it scrapes agentaflow-exporter" in (
        refusal.reason
    )
