"""submit: a file that cannot be meant is refused in one line, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import Cli

HEAD = "apiVersion: agentaflow.io/v1alpha1\nkind: GPUWorkload\n"
SPEC = "spec: {gpus: 1, template: {containers: [{name: main, image: x}]}}\n"
NAMED = "metadata: {name: fit}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{HEAD}metadata: [x]\n{SPEC}", "a GPUWorkload needs metadata.name, a text"),
        (f"{HEAD}metadata: {{name: 5}}\n{SPEC}", "a GPUWorkload needs metadata.name, a text"),
        (f"{HEAD}{SPEC}", "a GPUWorkload needs metadata.name, a text"),
        (f"{HEAD}{NAMED}", "a GPUWorkload needs a spec"),
        (f"{HEAD}{NAMED}spec: [gpus]\n", "a GPUWorkload needs a spec"),
        (
            f"{HEAD}metadata: {{name: fit, labels: [a]}}\n{SPEC}",
            "metadata.labels has to be a mapping of texts",
        ),
        (
            f"{HEAD}metadata: {{name: fit, annotations: {{team: 5}}}}\n{SPEC}",
            "metadata.annotations has to be a mapping of texts; quote numbers and true",
        ),
        (
            f"{HEAD}metadata: {{name: fit, namespace: [a]}}\n{SPEC}",
            "metadata.namespace has to be a text",
        ),
        (
            f"apiVersion: other/v9\nkind: GPUWorkload\n{NAMED}{SPEC}",
            "apiVersion other/v9 is not understood; a GPUWorkload is of agentaflow.io/v1alpha1",
        ),
        (f"kind: GPUWorkload\n{NAMED}{SPEC}", "apiVersion None is not understood"),
        ("- a\n- b\n", "kind None is not understood"),
        ("", "holds no GPUWorkload"),
    ],
)
def test_a_file_that_holds_no_workload_is_refused(
    cli: Cli, tmp_path: Path, text: str, told: str
) -> None:
    """What is wrong, and what it should be."""
    manifest = tmp_path / "work.yaml"
    manifest.write_text(text)
    done = cli("submit", "-f", str(manifest))
    assert done.code == 2
    assert done.error.startswith(str(manifest))
    assert told in done.error
