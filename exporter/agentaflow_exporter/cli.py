"""`agentaflow-exporter`: reads the command line, runs a command, and turns errors into one line.

Exit codes: 0 stopped as asked, 1 it could not do its work, 2 usage or settings.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agentaflow_exporter import arguments, stopping
from agentaflow_exporter.app import App
from agentaflow_exporter.backends import make_driver
from agentaflow_exporter.collector import Sources
from agentaflow_exporter.errors import UserError
from agentaflow_exporter.log import Log
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import ENVIRONMENT_PREFIX, Settings, load
from agentaflow_exporter.web import Server

if TYPE_CHECKING:
    from agentaflow_exporter.background.ticker import Ticker


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    command = COMMANDS.get(words[0]) if words else None
    try:
        return command(words[1:]) if command else _serve(words)
    except UserError as error:
        sys.stderr.write(f"{arguments.PROGRAM}: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT."""
    stopping.hold_signals()
    log = Log(settings.log_level, settings.log_format)
    driver, sources = make_driver(settings.backend)
    scraper = Scraper(
        driver,
        settings,
        sources=_with_settings(sources, settings),
        log=log,
    )
    server = Server(
        settings.listen_addresses,
        App(scraper, settings),
        config=settings.web_config_file,
        log=log.warning,
    )
    server.start()
    ticker = _ticker(scraper, settings)
    for host, port in server.addresses:
        name = f"[{host}]" if ":" in host else host
        log.info("listening", address=f"{name}:{port}", path=settings.telemetry_path)
    stopping.wait()
    server.stop()
    if ticker is not None:
        ticker.stop()
    scraper.close()
    log.info("stopped")
    return 0


def _ticker(scraper: Scraper, settings: Settings) -> Ticker | None:
    """Started, where it is of use; a simulation forgets nothing between scrapes."""
    if not settings.background_interval_seconds or settings.backend != "nvml":
        return None
    from agentaflow_exporter.background.ticker import Ticker

    ticker = Ticker(scraper, settings.background_interval_seconds)
    ticker.start()
    return ticker


def _with_settings(sources: Sources, settings: Settings) -> Sources:
    """What the user names wins over what the backend knows."""
    if settings.pods_file is not None:
        from agentaflow_exporter.attribution.pods_file import PodsFile

        pods = PodsFile(settings.pods_file)
        pods()  # a bad file is told at the start, not at the first scrape
        sources = replace(sources, pods=pods)
    return sources


def settings_from(
    namespace: argparse.Namespace, overrides: Mapping[str, str] | None = None
) -> Settings:
    flags = {**arguments.given(namespace), **(overrides or {})}
    file = getattr(namespace, "config_file", None)
    if file is None and (named := os.environ.get(f"{ENVIRONMENT_PREFIX}CONFIG_FILE")):
        file = Path(named)
    return load(flags, os.environ, file)


def _serve(words: Sequence[str]) -> int:
    return serve(settings_from(arguments.serve_parser().parse_args(words)))


def _replay(words: Sequence[str]) -> int:
    parser = arguments.serve_parser("replay")
    parser.add_argument("file", metavar="FILE", help="what `record` wrote")
    namespace = parser.parse_args(words)
    return serve(settings_from(namespace, {"backend": f"replay:{namespace.file}"}))


def _record(words: Sequence[str]) -> int:
    from agentaflow_exporter import record

    parser = arguments.Parser(
        prog=f"{arguments.PROGRAM} record", description="Write what NVML answers to a file."
    )
    record.add_arguments(parser)
    arguments.add_options(parser, ("driver", "collectors"))
    namespace = parser.parse_args(words)
    return record.run(namespace, settings_from(namespace))


def _simulate(words: Sequence[str]) -> int:
    from agentaflow_exporter import simulate

    parser = arguments.Parser(
        prog=f"{arguments.PROGRAM} simulate",
        description="Serve a simulated fleet, or write its past.",
    )
    simulate.add_arguments(parser)
    arguments.add_options(parser, ("names",))
    namespace = parser.parse_args(words)
    return simulate.run(namespace, load(arguments.given(namespace), {}, None))


def _completion(words: Sequence[str]) -> int:
    from agentaflow_exporter import completion

    parser = arguments.Parser(
        prog=f"{arguments.PROGRAM} completion", description="Print a shell's completion script."
    )
    parser.add_argument("shell", choices=completion.SHELLS)
    flags = (*arguments.serve_parser().flags(), *COMMANDS)
    print(completion.script(parser.parse_args(words).shell, arguments.PROGRAM, flags), end="")
    return 0


COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "record": _record,
    "replay": _replay,
    "simulate": _simulate,
    "completion": _completion,
}

if __name__ == "__main__":
    sys.exit(main())
