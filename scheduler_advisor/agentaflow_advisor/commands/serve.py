"""serve: the loop, with its health, its metrics and its advice over HTTP."""

from __future__ import annotations

from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.service import run
from agentaflow_exporter.log import Log


@command(
    "listen_address",
    "web_config_file",
    "interval_seconds",
    "ready_max_age_seconds",
    "window_seconds",
    "percentile",
    "prices_file",
    "history",
    "strategy",
    "channels",
    "log_format",
    "log_level",
    "otlp_endpoint",
    "approval_token_file",
)
def serve(session: Session) -> int:
    """Look again and again, keep the advice ready, and carry out what was approved.

    Without a channel it only advises. Stops at SIGTERM or SIGINT; a decision that is being
    carried out then is finished, or settled at the next start.
    """
    settings = session.settings
    log = Log(settings.log_level, settings.log_format)
    return run(settings, actor=f"{session.actor} (serve)", log=log)
