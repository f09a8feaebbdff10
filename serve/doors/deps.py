"""What the routes need of the rest of the service: everything that they call stands here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request

from isletnet.settings import Settings
from isletnet.storage.statistics import Event
from isletnet.storage.store import Store
from serve.access.identity import Access, Principal
from serve.access.limits import Limits
from serve.access.refusals import RefusedError
from serve.monitor import Monitor
from serve.work.tasks import Answer, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """The rest of the service, as the routes see it.

    Parameters
    ----------
    settings, store, access, limits, monitor
        Of this process.
    note
        Notes what was done; takes no time.
    nudge
        Tells who works on requests that something has changed; takes no time and never fails.
    ask
        Has a task done for somebody who waits.
    prune
        Prunes the store in the name of an admin; given true first, only tells what that would delete.
    now, monotonic
        The time of day, and a clock in seconds that never goes back.
    stall_s
        How long a sender may be silent in the middle of a body.
    look_s
        How often a request is looked at while somebody waits for its end.
    """

    settings: Settings
    store: Store
    access: Access
    limits: Limits
    monitor: Monitor
    note: Callable[[Event], None]
    nudge: Callable[[], None]
    ask: Callable[[Task], Awaitable[Answer]]
    prune: Callable[[bool, str], Awaitable[dict[str, Any]]]
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    stall_s: float = 30.0
    look_s: float = 0.5


async def deps_of(request: Request) -> Deps:
    """Give the rest of the service to a route."""
    deps: Deps = request.app.state.deps
    return deps


def caller(request: Request) -> Principal:
    """Tell who calls, and count the call, once; it holds a place until it has been answered.

    Raises ``RefusedError`` and ``StorageError``.
    """
    known: Principal | None = getattr(request.state, "principal", None)
    if known is not None:
        return known
    deps: Deps = request.app.state.deps
    peer = request.client.host if request.client else None
    try:
        principal = deps.access.identify(method=request.method, headers=request.headers.items(), peer=peer)
    except RefusedError:
        deps.limits.admit_call(f"address {peer}")
        raise
    request.state.principal = principal
    deps.limits.admit_call(principal.name)
    request.state.held.enter_context(deps.limits.calls.hold(principal))
    return principal


TheDeps = Annotated[Deps, Depends(deps_of)]
Who = Annotated[Principal, Depends(caller)]
