"""Puts the application onto a running Ray, or asks it to end: a process of its own, so that its caller needs no Ray."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from isletnet.errors import IsletnetError
from isletnet.settings import Settings
from isletnet.storage.store import open_store
from serve.access.identity import check_bind

_LOOK_S = 0.2


def read_config(path: Path, *, host: str, port: int) -> dict[str, Any]:
    """Read a file of replicas and resources, as Ray Serve has it, and set where its API listens: not by Ray's proxy.

    Raises
    ------
    ValueError
        It is no such file.
    """
    import yaml

    with path.open(encoding="utf-8") as file:
        content = yaml.safe_load(file)
    if not isinstance(content, Mapping) or "applications" not in content:
        raise ValueError(f"{path}: a configuration of Ray Serve with `applications` is expected")
    applications = [
        {**one, "args": {**(one.get("args") or {}), "host": host, "port": port}} for one in content["applications"]
    ]
    return {**content, "proxy_location": "Disabled", "applications": applications}


def deploy(config: Mapping[str, Any]) -> str | None:
    """Deploy on the Ray that this process is connected to, and wait until all applications run.

    Returns
    -------
    str or None
        Why they will not run; None when they do.
    """
    from ray import serve
    from ray.serve._private import api
    from ray.serve.schema import ServeDeploySchema

    # The public way to deploy a file goes through the dashboard, which stays off.
    schema = ServeDeploySchema.model_validate(config)
    client = api.serve_start(proxy_location=schema.proxy_location)
    client.deploy_apps(schema, _blocking=False)
    while True:
        applications = serve.status().applications
        for name, application in applications.items():
            if application.status in {"DEPLOY_FAILED", "UNHEALTHY"}:
                return f"{name}: {_last_line(application.message)}"
        if applications and all(application.status == "RUNNING" for application in applications.values()):
            return None
        time.sleep(_LOOK_S)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"


def main(arguments: list[str]) -> int:
    """Deploy (``--config``, ``--host``, ``--port``) or, without them, undeploy; returns the exit code."""
    parser = argparse.ArgumentParser(prog="serve.platform.deploy")
    parser.add_argument("--address", required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args(arguments)
    if given.config is not None:
        settings = Settings()
        try:
            check_bind(settings.model_copy(update={"host": given.host}), open_store(settings.store))
        except IsletnetError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    import ray
    from ray import serve

    _connect(ray, given.address)
    if given.config is None:
        shutdown: Callable[[], None] = serve.shutdown
        shutdown()
        # Ray would take seconds to take leave of what is gone.
        os._exit(0)
    reason = deploy(read_config(given.config, host=given.host, port=given.port))
    if reason is not None:
        sys.stderr.write(f"{reason}\n")
    return 0 if reason is None else 1


def _connect(ray: Any, address: str) -> None:
    """Connect as soon as the head takes it; whoever started both ends this process when that takes too long."""
    while True:
        try:
            ray.init(address=address, namespace="serve", log_to_driver=False, logging_level="error")
        except ConnectionError:
            time.sleep(_LOOK_S)
        else:
            return


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
