"""The console script: what the command needs is an extra, and its absence is no traceback."""

from __future__ import annotations

import sys


def main() -> int:
    try:
        from agentaflow_advisor.cli import main as run
    except ModuleNotFoundError as error:
        if (error.name or "agentaflow").startswith("agentaflow"):
            raise
        print(
            f"agentaflow: {error.name} is not installed; the advisor needs its extra:"
            " pip install 'agentaflow[advisor]'",
            file=sys.stderr,
        )
        return 1
    return run()


if __name__ == "__main__":
    sys.exit(main())
