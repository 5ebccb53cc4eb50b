"""`agentaflow replay`: figures and a picture of what strategies make of lists of nodes and pods."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agentaflow_advisor.place.replays import LOADS
from agentaflow_advisor.place.scorers import KINDS
from tests.support.cli import Cli

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def lists(tmp_path: Path) -> tuple[str, ...]:
    """Twelve nodes of four GPUs, and pods that ask for parts of a GPU and for several."""
    drawn = random.Random(7)
    nodes, pods = tmp_path / "nodes.csv", tmp_path / "pods.csv"
    nodes.write_text(
        "sn,cpu_milli,memory_mib,gpu,model\n"
        + "".join(f"n{number},64000,262144,4,T4\n" for number in range(12))
    )
    asks = [(1, 810), (1, 470), (1, 300), (1, 1000), (2, 1000), (0, 0)]
    pods.write_text(
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli\n"
        + "".join(
            f"p{number:03},{drawn.choice((2000, 8000))},4096,{gpus},{share}\n"
            for number in range(60)
            for gpus, share in [drawn.choice(asks)]
        )
    )
    return ("--nodes", str(nodes), "--pods", str(pods), "--seeds", "1-4", "--jobs", "1")


def points(svg: ElementTree.Element) -> dict[str, list[list[float]]]:
    """The y of each line's points, top down, by the line's name; a list for each panel."""
    found: dict[str, list[list[float]]] = {}
    for line in svg.iter(f"{SVG}polyline"):
        name = line.findtext(f"{SVG}title") or ""
        ys = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
        found.setdefault(name, []).append(ys)
    return found


def test_the_answer_has_every_load(cli: Cli, lists: tuple[str, ...]) -> None:
    """Unallocated and fragmented, in percent of all GPUs, with their spread over the seeds."""
    answer = cli("replay", *lists, "-o", "json").json
    assert answer["strategy"] == "least_waste"
    for key in ("unallocated_percent", "fragmented_percent"):
        assert list(answer[key]) == [str(load) for load in LOADS]
        for spread in answer[key].values():
            assert 0 <= spread["p25"] <= spread["p50"] <= spread["p75"] <= 100
            assert spread["sd"] >= 0
    at_end = answer["fragmented_percent"]["130"]["mean"]
    assert at_end <= answer["unallocated_percent"]["130"]["mean"]
    assert "bound_percent" not in answer


def test_the_bound_is_below_every_strategy(cli: Cli, lists: tuple[str, ...]) -> None:
    """At every load, and it is a row of the table."""
    every = [part for kind in KINDS for part in ("--strategy", kind.name)]
    answer = cli("replay", *lists, *every, "--bound", "-o", "json").json
    for one in (answer, *answer["others"]):
        for load, bound in answer["bound_percent"].items():
            assert bound["mean"] <= one["unallocated_percent"][load]["mean"] + 1e-3
    assert "\nat least " in cli("replay", *lists, "--bound").out


def test_without_scipy_the_bound_says_what_to_install(
    cli: Cli, lists: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra of its own."""
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    ran = cli("replay", *lists, "--bound")
    assert ran.code == 2
    assert "pip install 'agentaflow[bound]'" in ran.error


def test_the_plot_shows_each_strategy_twice(
    cli: Cli, lists: tuple[str, ...], tmp_path: Path
) -> None:
    """What was allocated and what was fragmented, each with a band; the bound is of the first."""
    file = tmp_path / "plot.svg"
    chosen = ("--strategy", "least_waste", "--strategy", "random", "--bound")
    assert cli("replay", *lists, *chosen, "--plot", str(file)).code == 0
    svg = ElementTree.fromstring(file.read_text())  # noqa: S314, our own
    lines = points(svg)
    assert {name: len(panels) for name, panels in lines.items()} == {
        "least_waste": 2,
        "random": 2,
        "upper bound": 1,
    }
    assert len(list(svg.iter(f"{SVG}polygon"))) == 5
    bound, ours = lines["upper bound"][0], lines["least_waste"][0]
    assert all(most <= y + 0.1 for most, y in zip(bound, ours, strict=True))
    words = [text.text for text in svg.iter(f"{SVG}text")]
    assert words[:3] == ["least_waste", "random", "upper bound"]
    assert words.count("GPUs asked for, % of all GPUs") == 2
    assert words.count("% of all GPUs") == 2
    assert "prefers-color-scheme: dark" in (svg.findtext(f"{SVG}style") or "")


def test_a_plot_that_cannot_be_written_ends_with_code_2(
    cli: Cli, lists: tuple[str, ...], tmp_path: Path
) -> None:
    """In one line that names the file."""
    ran = cli("replay", *lists, "--plot", str(tmp_path / "none" / "plot.svg"))
    assert ran.code == 2
    assert "plot.svg" in ran.error


def test_a_weight_of_ours_can_be_left_out(cli: Cli, lists: tuple[str, ...]) -> None:
    """The default weights are what the plain name has; without all, another placement comes out."""
    alike = ("--strategy", "least_waste", "--strategy", "least_waste:residue=1.0,stranding=0.6")
    bare = ("--strategy", "least_waste:residue=0,stranding=0,reserve=0")
    answer = cli("replay", *lists, *alike, *bare, "-o", "json").json
    same, without = answer["others"]
    assert same["strategy"] == "least_waste:residue=1.0,stranding=0.6"
    assert same["unallocated_percent"] == answer["unallocated_percent"]
    assert without["fragmented_percent"] != answer["fragmented_percent"]


@pytest.mark.parametrize(
    "name", ["nothing", "least_waste:", "least_waste:stranding", "best_fit:residue=0",
             "least_waste:residue=-1", "least_waste:colour=1", "least_waste:arrivals=1"],
)  # fmt: skip
def test_an_unknown_strategy_or_weight_ends_with_code_2(
    cli: Cli, lists: tuple[str, ...], name: str
) -> None:
    """And says what there is."""
    ran = cli("replay", *lists, "--strategy", name)
    assert ran.code == 2
    assert "least_waste" in ran.error


NODES = "sn,cpu_milli,memory_mib,gpu,model\nn0,64000,262144,8,T4\n"
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\np0,1000,1024,1,500,\n"
MANY = "9" * 25


@pytest.mark.parametrize(
    ("nodes", "pods", "said"),
    [
        (NODES, PODS.replace(",1,500,", ",0,0,"), "PODS: no pod asks for a GPU: give a list"),
        (NODES, PODS.replace("500", "²"), "PODS:2: gpu_milli is '²': give a whole number"),
        (NODES, PODS.replace(",1,", f",{MANY},"), "PODS:2: num_gpu is 99999999999999999999… (25"),
        (NODES, PODS.replace(",1,", ",10001,"), "PODS:2: num_gpu is 10001: give 10000 at most"),
        (NODES, PODS.replace("1000,", f"{MANY},", 1), "PODS:2: cpu_milli is 9999999999999999"),
        (NODES, PODS.replace(",500,", ",500,H100"), "PODS:2: gpu_spec names 'H100', which is the"),
        (NODES, PODS + "p0,1000,1024,1,500,\n", "PODS:3: name is 'p0' as in line 2: give each"),
        (NODES, PODS + "p1,1000,1024\n", "PODS:3: the row ends before num_gpu: give each column"),
        (NODES.replace("262144", MANY), PODS, "NODES:2: memory_mib is 99999999999999999999… (25"),
        (
            NODES.replace(",8,", ",2000000000,"),
            PODS,
            "NODES:2: gpu is 2000000000: give 128 at most",
        ),
        (
            NODES.replace(",8,T4", ",8"),
            PODS,
            "NODES:2: the row ends before model: give each column",
        ),
        (NODES + "n0,64000,262144,8,T4\n", PODS, "NODES:3: sn is 'n0' as in line 2: give each"),
        (NODES.replace(",model", "").replace(",T4", ""), PODS, "NODES:1: column model is missing"),
    ],
)
@pytest.mark.parametrize("command", ["replay", "defragment"])
def test_lists_that_cannot_be_used_are_one_line(
    cli: Cli, tmp_path: Path, command: str, nodes: str, pods: str, said: str
) -> None:
    """The file, its line, the column, what is there, and what may be."""
    files = {"NODES": tmp_path / "n.csv", "PODS": tmp_path / "p.csv"}
    files["NODES"].write_text(nodes)
    files["PODS"].write_text(pods)
    ran = cli(command, "--nodes", str(files["NODES"]), "--pods", str(files["PODS"]), "--seeds", "1")
    assert ran.code == 2
    name, rest = said.split(":", 1)
    assert ran.error.startswith(f"{files[name]}:{rest}")
    assert ran.error.count("\n") <= 1


def test_a_byte_order_mark_is_no_part_of_a_column(cli: Cli, tmp_path: Path) -> None:
    """As spreadsheets write it. A single seed is one."""
    nodes, pods = tmp_path / "n.csv", tmp_path / "p.csv"
    nodes.write_text(NODES, encoding="utf-8-sig")
    pods.write_text(PODS, encoding="utf-8-sig")
    chosen = ("--nodes", str(nodes), "--pods", str(pods), "--seeds", "1", "--jobs", "1")
    ran = cli("replay", *chosen)
    assert ran.code == 0
    assert "mean ± sd of 1 seed;" in ran.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seeds", "²"], "--seeds ²: give numbers and ranges such as 42-51 or 1,2,3"),
        (["--seeds", "1-9999999999"], "--seeds 1-9999999999: give 1 to 1000 different numbers"),
        (["--seeds", "9" * 5000], "give numbers and ranges such as 42-51 or 1,2,3"),
        (["--jobs", "5000"], "256"),
        (["--strategy", "least_waste:residue=" + "9" * 400], "numbers from 0 to 1000"),
    ],
)
def test_options_beyond_all_measure_are_one_line(
    cli: Cli, lists: tuple[str, ...], options: list[str], said: str
) -> None:
    """Said at once, not found out by running."""
    ran = cli("replay", *lists, *options)
    assert ran.code == 2
    assert said in ran.error
