"""A folder that may only be read, whoever runs the tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

NOBODY = 65534


@contextmanager
def without_write_permission(*files: Path) -> Iterator[Path]:
    """A folder with copies of these files that may be read only.

    Root, who may write anything, is somebody else meanwhile.
    """
    user = os.geteuid()
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file in files:
            Path(shutil.copy(file, folder)).chmod(0o444)
        folder.chmod(0o555)
        if user == 0:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)
