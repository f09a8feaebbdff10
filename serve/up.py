"""``isletnet up``: the whole platform on one machine, from nothing, until it is told to stop."""

from __future__ import annotations

import http.client
import importlib
import json
import logging
import logging.handlers
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from isletnet.errors import ConflictError, ParameterError
from isletnet.storage.store import open_store
from serve.access.identity import check_bind
from serve.platform.run_folder import (
    MARK,
    find_run_folder,
    kill_members,
    locked,
    make_run_folder,
    ray_folder,
    renew_token,
    store_location,
)
from serve.platform.supervisor import Commands, Patience, Supervisor

if TYPE_CHECKING:
    from isletnet.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
SERVE_CONFIG = ROOT / "serve" / "serve.yaml"
# Modules that stand before slow ones which a dozen processes would load and none would use.
SPARED = ROOT / "serve" / "platform" / "spared"
ANALYSE_PAGE = ROOT / "notebooks" / "analyse.ipynb"

_LOG_BYTES, _LOGS_N = 5_000_000, 3
_RAY_LOG_BYTES = 10_000_000
# Tiles travel through it, pictures do not. Ray takes at least 80 MB.
_OBJECTS_BYTES, _LEAST_OBJECTS_BYTES = 1_000_000_000, 80_000_000
_PROBE_S = 5.0
# Ray counts and records what it does for a dashboard that is not there: a twentieth of a small machine, and memory that
# grows with each request. Its controller looks at its processes twice a second, which is soon enough.
_QUIET_RAY = {
    "RAY_task_events_report_interval_ms": "0",
    "RAY_enable_metrics_collection": "false",
    "RAY_event_stats": "false",
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "10000",
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
}
_LEAST_CPUS = 2
_STANDARD_FIELDS = {*vars(logging.makeLogRecord({})), "message"}


def run(settings: Settings, *, say: Callable[[str], None], patience: Patience | None = None) -> int:
    """Start the platform, keep it alive, and stop it clean on SIGTERM or Ctrl-C.

    Parameters
    ----------
    settings
        Of this installation; what they say goes to all processes.
    say
        Shows a line to the person who started it.

    Returns
    -------
    int
        Exit code: 1 if it never came up.

    Raises
    ------
    ConflictError
        It runs already, or somebody else has the port.
    ParameterError
        It would listen beyond this machine without keys, or the file of resources is not there.
    StorageError
        The store cannot be used.
    """
    os.umask(0o077)
    location = store_location(settings.store)
    store = open_store(location)
    check_bind(settings, store)
    store.probe()
    config = Path(settings.serve_config or SERVE_CONFIG).resolve()
    if not config.is_file():
        raise ParameterError("the file of replicas and resources is not there", subject=str(config))
    folder = find_run_folder(location)
    make_run_folder(folder)
    with locked(folder), held(settings.host, settings.port, "ISLETNET_PORT"):
        _set_up_log(folder / "logs" / "up.jsonl")
        kill_members(folder)
        for port, variable in ((settings.port, "ISLETNET_PORT"), (settings.pages_port, "ISLETNET_PAGES_PORT")):
            check_port(settings.host, port, variable)
        say(f"Starting; about half a minute. Store: {location}. Logs: {folder / 'logs'}")
        supervisor = Supervisor(
            lambda: make_commands(settings, folder, config),
            lambda: is_alive(settings.host, settings.port),
            folder=folder,
            environment=make_environment(settings, os.environ, folder, location=location),
            tell_up=lambda seconds: say(_welcome(settings, seconds)),
            patience=patience,
        )
        code = supervisor.run()
    if code:
        say(f"It did not start. The reason is at the end of {folder / 'logs' / 'up.jsonl'}")
    return code


@contextmanager
def held(host: str, port: int, variable: str) -> Iterator[None]:
    """Keep a port for one platform.

    Its processes share the port, so that the system would let those of another one in, and calls would go to either.

    Raises
    ------
    ConflictError
        Another platform holds it.
    """
    with socket.socket(socket.AF_UNIX) as name:
        try:
            name.bind(f"\0isletnet-{host}-{port}")
        except OSError:
            raise ConflictError(
                f"port {port} of {host} is that of another platform; stop that one, or set {variable}"
            ) from None
        yield


def check_port(host: str, port: int, variable: str) -> None:
    """Raise ``ConflictError`` if somebody listens on a port already, and say who."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            holder = _holder(port)
            raise ConflictError(
                f"port {port} of {host} cannot be taken ({error.strerror}); {holder}. Stop that, or set {variable}"
            ) from error


def is_alive(host: str, port: int) -> bool:
    """Whether the API answers that it lives."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    connection = http.client.HTTPConnection(reachable, port, timeout=_PROBE_S)
    try:
        connection.request("GET", "/api/health/live")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def make_environment(settings: Settings, outer: Mapping[str, str], folder: Path, *, location: str) -> dict[str, str]:
    """Make the environment of all processes: the settings, and rules for Ray.

    Parameters
    ----------
    outer
        The environment that this was started in; its ``RAY_*`` variables are meant for another Ray. A dozen processes
        import the same, so that they may keep what they have compiled.
    location
        The store, meaning the same in every folder.
    """
    kept = {name: value for name, value in outer.items() if not name.startswith(("RAY_", "PYTHONDONTWRITE"))}
    path = os.pathsep.join(part for part in (str(SPARED), str(ROOT), outer.get("PYTHONPATH", "")) if part)
    return {
        # Processes whose actors ask for one processor would be told to use one thread, whatever they do.
        "OMP_NUM_THREADS": str(settings.threads or os.cpu_count() or 1),
        # Bodies of large uploads go through many threads; each would keep memory for itself.
        "MALLOC_ARENA_MAX": "2",
        **kept,
        "ISLETNET_STORE": location,
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        MARK: str(folder),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ROTATION_MAX_BYTES": str(_RAY_LOG_BYTES),
        "RAY_ROTATION_BACKUP_COUNT": "2",
        **_QUIET_RAY,
        # Ray would put answers to people, too, behind all else on the machine; here only what computes steps back.
        "RAY_worker_niceness": "0",
    }


def make_commands(settings: Settings, folder: Path, config: Path) -> Commands:
    """Make the commands of one life, with a new token and fresh ports for Ray."""
    renew_token(folder)
    rays = ray_folder(folder)
    port = _free_port()
    deploy = [sys.executable, "-m", "serve.platform.deploy", "--address", f"127.0.0.1:{port}"]
    head = [
        *(sys.executable, "-m", "serve.platform.head", "--head", "--block", "--disable-usage-stats"),
        *("--no-monitor", "--include-log-monitor", "false"),
        *("--node-ip-address", "127.0.0.1", "--port", str(port), "--include-dashboard", "false"),
        *("--min-worker-port", "0", "--max-worker-port", "0", "--dashboard-agent-listen-port", "0"),
        *("--temp-dir", str(rays), "--object-spilling-directory", str(rays)),
        *("--object-store-memory", str(objects_bytes())),
        # Shares, not cores: the parts of the application must fit onto one core, too.
        *("--num-cpus", str(max(os.cpu_count() or 1, _LEAST_CPUS))),
    ]
    return Commands(
        head=head,
        deploy=[*deploy, "--config", str(config), "--host", settings.host, "--port", str(settings.port)],
        undeploy=deploy,
        pages=_pages_command(settings),
    )


def objects_bytes() -> int:
    """Choose how much shared memory Ray gets: not more than there is, for a container may have 64 MB."""
    with suppress(OSError):
        return max(_LEAST_OBJECTS_BYTES, min(_OBJECTS_BYTES, int(0.8 * shutil.disk_usage("/dev/shm").free)))
    return _LEAST_OBJECTS_BYTES


class JsonLines(logging.Formatter):
    """A log record as one line of JSON; line breaks in it are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record with its extra fields."""
        fields = vars(record).items()
        told = {name: value for name, value in fields if name not in _STANDARD_FIELDS and not name.startswith("_")}
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"utc": when, "level": record.levelname, "message": record.getMessage(), **told}
        return json.dumps(line, ensure_ascii=False, default=str)


def _set_up_log(path: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=_LOGS_N, encoding="utf-8")
    handler.setFormatter(JsonLines())
    log = logging.getLogger("isletnet.serve")
    log.addHandler(handler)
    log.setLevel(logging.INFO)


def _welcome(settings: Settings, seconds: float) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    lines = [f"Up after {seconds:.0f} s. API: http://{host}:{settings.port}/api (its description: /api/spec.json)"]
    if ANALYSE_PAGE.is_file():
        lines.append(f"Pages: {settings.pages_origin or f'http://{host}:{settings.pages_port}'}")
    return "\n".join([*lines, "Ctrl-C stops it."])


def _pages_command(settings: Settings) -> list[str] | None:
    if not ANALYSE_PAGE.is_file():
        return None
    command: list[str] | None = importlib.import_module("serve.pages").pages_command(settings)
    return command


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _holder(port: int) -> str:
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                with suppress(psutil.Error):
                    return f"{psutil.Process(connection.pid).name()} (process {connection.pid}) has it"
    return "another process may have it"
