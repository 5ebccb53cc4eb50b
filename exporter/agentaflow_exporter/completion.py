"""Shell completion of the flags and commands, printed for the shell to source."""

from __future__ import annotations

from collections.abc import Sequence

SHELLS = ("bash", "zsh", "fish")


def script(shell: str, program: str, words: Sequence[str]) -> str:
    """`agentaflow-exporter completion bash > /etc/bash_completion.d/agentaflow-exporter`."""
    listed = " ".join(words)
    if shell == "fish":
        return f"complete -c {program} -a '{listed}'\n"
    name = "_" + program.replace("-", "_")
    lines = [
        f"{name}() {{",
        '  local current="${COMP_WORDS[COMP_CWORD]}"',
        f"""  COMPREPLY=($(compgen -W '{listed}' -- "$current"))""",
        "}",
        f"complete -o default -F {name} {program}",
    ]
    if shell == "zsh":
        lines.insert(0, "autoload -U +X bashcompinit && bashcompinit")
    return "\n".join(lines) + "\n"
