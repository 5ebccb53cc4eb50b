"""The NVML stub (tests/nvml_stub) built with cc, and scripted while an exporter runs on it."""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.support.parts import need

SOURCES = Path(__file__).parents[1] / "nvml_stub"
LIBRARY = "libnvidia-ml.so.1"


@cache
def library_folder() -> Path:
    """The folder to put on LD_LIBRARY_PATH; built once for each state of the sources."""
    sources = sorted(SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    root = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "agentaflow"
    folder = root / f"nvml-stub-{digest}"
    if not (folder / LIBRARY).exists():
        folder.mkdir(parents=True, exist_ok=True)
        _build([source for source in sources if source.suffix == ".c"], folder)
    return folder


def _build(sources: list[Path], folder: Path) -> None:
    """Into place at once, so that tests that run in parallel may both build it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    need("a C compiler", compiler is not None)
    assert compiler
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        built = Path(scratch) / LIBRARY
        flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        name = f"-Wl,-soname,{LIBRARY}"
        subprocess.run(
            [compiler, *flags, name, "-o", built, *sources, "-lm", "-lpthread"], check=True
        )
        built.replace(folder / LIBRARY)


class NvmlStub:
    """One script and one log of calls; rules are written as tests/nvml_stub/control.h says."""

    def __init__(self, folder: Path) -> None:
        self._script = folder / "control"
        self._log = folder / "calls"
        self.script()

    def environment(self) -> dict[str, str]:
        """For a process that is to find the stub where it looks for the driver."""
        return {
            "LD_LIBRARY_PATH": str(library_folder()),
            "NVML_STUB_CONTROL": str(self._script),
            "NVML_STUB_CALLS": str(self._log),
        }

    def script(self, *rules: str) -> None:
        """From now on these rules hold and no others; a delay that is no longer there ends."""
        part = self._script.with_suffix(".part")
        part.write_text("".join(f"{rule}\n" for rule in rules))
        part.replace(self._script)

    def calls(self) -> list[str]:
        """`GPU SYMBOL ARGUMENT` of every call since forget()."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    def forget(self) -> None:
        self._log.unlink(missing_ok=True)


@cache
def in_process_stub() -> NvmlStub:
    """The stub in this process: pynvml's dlopen finds the library that is loaded already."""
    folder = Path(tempfile.mkdtemp(prefix="agentaflow-nvml-stub-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    stub = NvmlStub(folder)
    os.environ.update(stub.environment())
    ctypes.CDLL(str(library_folder() / LIBRARY), mode=ctypes.RTLD_GLOBAL)
    return stub
