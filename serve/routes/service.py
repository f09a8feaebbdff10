"""How the service is, and who one is to it."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Response

from serve.access.keys import SCOPES
from serve.doors.deps import TheDeps, Who
from serve.doors.types import HealthAnswer, SessionAnswer

router = APIRouter(prefix="/api", tags=["service"])


@router.get("/session")
async def session(who: Who, deps: TheDeps) -> SessionAnswer:
    """Tell who calls, and the token that a page sends along."""
    token = await to_thread.run_sync(deps.access.csrf_token, who)
    return SessionAnswer(name=who.name, scopes=tuple(scope for scope in SCOPES if scope in who.scopes), csrf=token)


@router.get("/status")
async def status(who: Who, deps: TheDeps) -> dict[str, Any]:
    """Tell how every part of the service is."""
    who.require("admin")
    return await deps.monitor.status()


@router.get("/health/live")
async def live() -> HealthAnswer:
    """Answer, as long as there is anybody to answer."""
    return HealthAnswer(state="ok")


@router.get("/health/ready", responses={503: {"model": HealthAnswer, "description": "Not now."}})
def ready(response: Response, deps: TheDeps) -> HealthAnswer:
    """Tell whether requests can be taken: the store answers, and the default network is whole."""
    found = deps.monitor.readiness()
    if found.is_ready:
        return HealthAnswer(state="ok")
    response.status_code = 503
    response.headers["Retry-After"] = "5"
    return HealthAnswer(state="not_ready", reasons=found.reasons)
