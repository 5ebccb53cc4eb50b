"""Throw-away certificates from the openssl command."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.parts import need


@dataclass(frozen=True)
class Certificate:
    cert: Path
    key: Path


def self_signed(folder: Path, name: str, *, san: str = "IP:127.0.0.1") -> Certificate:
    """NAME.crt and NAME.key in `folder`; it is its own authority."""
    need("the openssl command", shutil.which("openssl") is not None)
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN={name} -addext subjectAltName={san} -keyout {name}.key -out {name}.crt"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True, timeout=30)
    return Certificate(folder / f"{name}.crt", folder / f"{name}.key")
