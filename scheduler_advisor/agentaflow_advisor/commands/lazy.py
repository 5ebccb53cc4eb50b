"""Commands that are imported when they are called or listed: each rests on libraries of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

Named = Mapping[str, "str | Group"]
"""Name → where its function is, as `module.function` of this package, or more of them below it."""


class Group:
    """Commands below one name."""

    def __init__(self, summary: str, commands: Named) -> None:
        self.summary, self.commands = summary, commands

    def app(self) -> typer.Typer:
        return typer.Typer(cls=group_of(self.commands), help=self.summary, callback=_nothing)


class _Commands(MutableMapping[str, Any]):
    """As typer keeps them."""

    def __init__(self, named: Named) -> None:
        self._named = named
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _made(name, self._named[name])
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)


def group_of(named: Named) -> type[TyperGroup]:
    """A class of groups that have these."""

    class Lazy(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = _Commands(named)

        def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 typer's own signature
            return list(named)

    return Lazy


def _nothing() -> None:
    """A group does nothing by itself."""


def _made(name: str, what: str | Group) -> Any:
    if isinstance(what, Group):
        command = typer.main.get_command(what.app())
        command.name = name
        return command
    module, _, function = what.rpartition(".")
    app = typer.Typer(add_completion=False)
    app.command(name)(getattr(import_module(f"{__package__}.{module}"), function))
    return typer.main.get_command(app)
