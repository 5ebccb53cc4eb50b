"""The files that people import are what the code makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from agentaflow_dashboards import BOARDS
from agentaflow_dashboards.cli import main

GENERATED = Path(__file__).parents[2] / "dashboards" / "generated"


def test_the_committed_files_are_what_the_code_makes(tmp_path: Path) -> None:
    """Generating again gives the committed files, byte for byte, and no other file."""
    assert main(["generate", str(tmp_path)]) == 0
    assert _files(tmp_path) == _files(GENERATED)


def test_check_accepts_what_generate_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check` is silent and ends well on a folder that was just generated."""
    main(["generate", str(tmp_path)])
    capsys.readouterr()
    assert main(["check", str(tmp_path)]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_check_names_each_stale_file(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check` fails with one line for each file that was edited by hand or is not there."""
    main(["generate", str(tmp_path)])
    path = tmp_path / "fleet.json"
    path.write_text("{}") if damage == "changed" else path.unlink()
    capsys.readouterr()
    assert main(["check", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"{path}: not what the code makes; run `generate` with this folder\n"
    )


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that cannot be made ends in one line and exit code 1, not in a traceback."""
    (tmp_path / "file").write_text("")
    assert main(["generate", str(tmp_path / "file" / "boards")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(str(tmp_path))
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_can_be_imported_without_an_edit(name: str) -> None:
    """The id is null and the uid is fixed, so that Grafana creates or replaces the same board."""
    board = json.loads((GENERATED / name).read_text())
    assert board["id"] is None
    assert board["uid"] == f"agentaflow-{Path(name).stem}"
    assert "__inputs" not in board


def test_a_sidecar_gets_the_same_boards() -> None:
    """Each ConfigMap has the label that Grafana's sidecar looks for, and the board as its data."""
    for name in BOARDS:
        path = GENERATED / "configmaps" / f"{Path(name).stem}.yaml"
        made = yaml.safe_load(path.read_text())
        assert made["metadata"]["labels"] == {"grafana_dashboard": "1"}
        (text,) = made["data"].values()
        assert json.loads(text) == json.loads((GENERATED / name).read_text())
        assert path.stat().st_size < 1024 * 1024  # what etcd takes


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
