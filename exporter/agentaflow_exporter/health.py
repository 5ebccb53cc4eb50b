"""Which GPUs are down: the ones that fail now, and lost ones that the driver no longer counts."""

from __future__ import annotations

from agentaflow_exporter.log import Log


class Health:
    """By uuid, because an index moves on to another GPU when one is lost.

    A GPU that failed stays down until it answers again, even if a restarted driver does not
    enumerate it any more; one that was removed in good health is forgotten.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._up: dict[str, str] = {}  # uuid → index
        self._down: dict[str, str] = {}
        self._driver_failure: str | None = None

    def driver_answered(self) -> None:
        if self._driver_failure is not None:
            self._log.info("driver answers")
        self._driver_failure = None
        self._up = {}

    def driver_failed(self, reason: str) -> None:
        if self._driver_failure != reason:
            self._log.warning("driver unavailable, trying again at later scrapes", reason=reason)
        self._driver_failure = reason
        self._down.update(self._up)
        self._up = {}

    def answered(self, index: str, uuid: str) -> None:
        self._down.pop(_unknown(index), None)
        if self._down.pop(uuid, None) is not None:
            self._log.info("GPU answers again", gpu=index, uuid=uuid)
        self._up[uuid] = index

    def failed(self, index: str, uuid: str, reason: str) -> None:
        """`uuid` is empty where it was never read."""
        key = uuid or _unknown(index)
        if key not in self._down:
            self._log.warning("GPU does not answer", gpu=index, uuid=uuid, reason=reason)
        self._down[key] = index

    def all_answer(self) -> bool:
        return not self._down

    def gpus(self) -> list[tuple[str, str, bool]]:
        """(index, uuid, up) of every GPU that is up or down, in the order of the indices."""
        states = [(index, uuid, True) for uuid, index in self._up.items()]
        for key, index in self._down.items():
            states.append((index, "" if key == _unknown(index) else key, False))
        return sorted(states, key=lambda state: (int(state[0]), state[1]))


def _unknown(index: str) -> str:
    return f"index {index}"
