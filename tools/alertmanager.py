"""A real Alertmanager on loopback, for tests and demos."""

from __future__ import annotations

from pathlib import Path

from tools.processes import Program, free_port
from tools.programs import PartMissing, alertmanager_program
from tools.prometheus import ready


class AlertmanagerServer:
    """Routes what it is sent as its file says; alone, without a cluster of others."""

    def __init__(self, folder: Path, config: str) -> None:
        self.folder = folder
        self.config = config
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"

    def __enter__(self) -> AlertmanagerServer:
        program = alertmanager_program("alertmanager")
        if program is None:
            raise PartMissing("alertmanager is not there: python -m tools.realparts alertmanager")
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "alertmanager.yaml"
        config.write_text(self.config)
        self.program = Program(
            [
                program,
                f"--config.file={config}",
                f"--storage.path={self.folder / 'data'}",
                f"--web.listen-address={self.address}",
                "--cluster.listen-address=",
                "--log.level=warn",
            ],
            self.folder / "alertmanager.log",
        )
        self.program.wait_until(lambda: ready(self.url), seconds=60)
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop(gently_for=10)
