"""Calls to the Kubernetes API through lightkube, each ending in an answer or a named trouble."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import httpx2  # what lightkube speaks HTTP with
import msgspec
from lightkube import ApiError, Client
from lightkube.core.exceptions import ConfigError
from lightkube.types import PatchType

from agentaflow_advisor.act.errors import (
    ApiTrouble,
    Conflict,
    OverBudget,
    Rejected,
    Unanswered,
    Unreadable,
)
from agentaflow_advisor.model import Target
from agentaflow_advisor.model.names import FIELD_MANAGER
from agentaflow_advisor.observe.errors import one_line

T = TypeVar("T")

# An answer that is cut off or none of Kubernetes' fails inside lightkube in these ways.
UNPARSABLE = (msgspec.MsgspecError, ValueError, KeyError, TypeError)


SEVERAL_BUDGETS = "more than one PodDisruptionBudget"


def read(get: Callable[[], T]) -> T | None:
    """What get() answers, None where there is no such object. Raises Unanswered, Unreadable."""
    try:
        return get()
    except httpx2.HTTPStatusError as error:
        if error.response.status_code == httpx2.codes.NOT_FOUND:
            return None
        named = _named(error, Unreadable)
        # a read conflicts with nothing: whoever says so is not the API server
        raise Unanswered(str(named)) if isinstance(named, Conflict) else named from error
    except ConfigError as error:
        raise Unreadable(f"Kubernetes API: {error}") from error
    except httpx2.HTTPError as error:
        raise _silence(error) from error
    except UNPARSABLE as error:
        raise _silence(error) from error


def patch(
    client: Client,
    kind: type[Any],
    target: Target,
    body: Mapping[str, object],
    *,
    dry_run: bool,
) -> None:
    """One merge patch of the target. Raises Unanswered, Conflict or Rejected."""
    where: dict[str, Any] = {"namespace": target.namespace} if target.namespace else {}
    write(
        lambda: client.patch(
            kind,
            target.name,
            dict(body),
            patch_type=PatchType.MERGE,
            field_manager=FIELD_MANAGER,
            dry_run=dry_run,
            **where,
        )
    )


def write(send: Callable[[], object]) -> None:
    """One request that changes something. Raises Unanswered, OverBudget, Conflict or Rejected."""
    try:
        send()
    except httpx2.HTTPStatusError as error:
        raise _named(error, Rejected) from error
    except ConfigError as error:
        raise Rejected(f"Kubernetes API: {error}") from error
    except httpx2.HTTPError as error:
        raise _silence(error) from error
    except UNPARSABLE as error:
        raise _silence(error) from error


def _named(error: httpx2.HTTPStatusError, refusal: type[ApiTrouble]) -> ApiTrouble:
    code = error.response.status_code
    reason = f"Kubernetes API: {code} {error.response.reason_phrase}"
    if isinstance(error, ApiError) and error.status.message:
        reason = f"Kubernetes API: {code} {one_line(error.status.message)}"
        if refused := _over_budget(error, reason):
            return refused
    if (
        code == httpx2.codes.REQUEST_TIMEOUT
        or code == httpx2.codes.TOO_MANY_REQUESTS
        or code >= 500
    ):
        return Unanswered(reason, code, _retry_after(error.response))
    if code in (httpx2.codes.CONFLICT, httpx2.codes.NOT_FOUND) or _is_other_uid(error):
        return Conflict(reason, code)  # the next read tells what is there now
    return refusal(reason, code)


def _over_budget(error: ApiError, reason: str) -> OverBudget | None:
    """Whether PodDisruptionBudgets refused an eviction, in the words of the API server.

    Several budgets for one pod are a 500 without a cause (kubernetes, eviction.go).
    """
    code, status = error.response.status_code, error.status
    if code >= 500 and SEVERAL_BUDGETS in (status.message or ""):
        return OverBudget(f"pdb: {reason}", code, None)
    for cause in (status.details.causes if status.details else None) or ():
        if code == httpx2.codes.TOO_MANY_REQUESTS and cause.reason == "DisruptionBudget":
            told = f"pdb: {reason} {one_line(cause.message or '')}"
            return OverBudget(told.strip(), code, _retry_after(error.response) or 1.0)
    return None


def _is_other_uid(error: httpx2.HTTPStatusError) -> bool:
    """422 "metadata.uid: field is immutable": another object has the name now."""
    if not isinstance(error, ApiError) or not error.status.details:
        return False
    return any(cause.field == "metadata.uid" for cause in error.status.details.causes or ())


def _retry_after(response: httpx2.Response) -> float | None:
    with suppress(KeyError, ValueError):
        return max(0.0, float(response.headers["Retry-After"]))
    return None


def _silence(error: Exception) -> Unanswered:
    what = one_line(error) or type(error).__name__
    return Unanswered(f"Kubernetes API: no usable answer ({what})")
