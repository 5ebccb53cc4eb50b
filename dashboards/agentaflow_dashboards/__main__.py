"""`python -m agentaflow_dashboards`."""

import sys

from agentaflow_dashboards.cli import main

if __name__ == "__main__":
    sys.exit(main())
