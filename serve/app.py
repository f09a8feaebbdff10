"""The API as an application, alone or with the rest of the service on Ray Serve."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

import isletnet
from serve.access.identity import pages_origins
from serve.doors import problems
from serve.doors.calls import Calls
from serve.doors.deps import Deps
from serve.doors.types import ProblemAnswer
from serve.routes import admin, analysis, corrections, progress, requests, results, service, training

ROUTERS = (
    service.router,
    requests.streams,
    requests.router,
    progress.router,
    corrections.streams,
    corrections.router,
    results.router,
    training.router,
    analysis.router,
    admin.router,
)
_PROBLEM = {"model": ProblemAnswer, "description": "What went wrong."}
_DESCRIPTION = "Measures isolated pancreatic islets in micrographs. Every error has the shape of ProblemAnswer."


def create_app(deps: Deps) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    deps
        The rest of the service.
    """
    app = FastAPI(
        title="isletnet",
        version=isletnet.__version__,
        description=_DESCRIPTION,
        openapi_url="/api/spec.json",
        # The pages that FastAPI brings fetch scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={422: _PROBLEM, "default": _PROBLEM},
    )
    app.state.deps = deps
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=sorted(pages_origins(deps.settings)),
        allow_credentials=True,
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Range", "X-API-Key", "X-CSRF-Token"],
        expose_headers=["Content-Disposition", "Content-Range", "Retry-After", "X-Export-Number", "X-Request-Id"],
    )
    app.add_middleware(Calls)
    return app


def build(arguments: dict[str, Any]) -> Any:
    """Make the application of Ray Serve that serve.yaml names; ``arguments`` are its ``args``."""
    # Tests and programs that only want the routes need no Ray.
    from serve.ingress import application

    return application(arguments)
