"""The server of the pages: Voila, narrowed to what the pages need.

One kernel serves one open page. The notebooks cannot be read, files of the disk cannot be asked for, no address beyond
this host is named, and over the cap of kernels a plain page says that there are too many people.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from serve.platform.run_folder import MARK

if TYPE_CHECKING:
    from isletnet.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
SHARE = ROOT / "serve" / "share"
TEMPLATE = "isletnet"
PAGES = ("analyse", "correct", "view3d", "history", "status")

IDLE_S, CULL_EVERY_S = 30 * 60, 30
# A page that was closed says so; of one whose browser died, or whose computer sleeps, the kernel is kept that long.
LEFT_S = 180.0
KERNEL_BYTES, KERNELS_SHARE_OF_MEMORY = 150_000_000, 0.4
FEWEST_KERNELS, MOST_KERNELS = 4, 40
# What a page's kernel may know of this server's environment: nothing that opens another door.
_KEPT_VARIABLES = re.compile(r"PATH|HOME|LANG|LC_[A-Z]+|TZ|TMPDIR|PYTHON[A-Z]+|VIRTUAL_ENV|LD_LIBRARY_PATH")
_KEPT_SETTINGS = {
    "ISLETNET_HOST",
    "ISLETNET_PORT",
    "ISLETNET_PAGES_PORT",
    "ISLETNET_PAGES_ORIGIN",
    "ISLETNET_TRUSTED_PROXY",
    "ISLETNET_IDENTITY_HEADER",
    MARK,
}


def pages_command(settings: Settings) -> list[str] | None:
    """Make the command that serves the pages, None where they are not installed.

    Parameters
    ----------
    settings
        Of this installation; the process reads the same ones from its environment.
    """
    if not (NOTEBOOKS / "analyse.ipynb").is_file():
        return None
    return [sys.executable, "-m", "serve.pages", "--host", settings.host, "--port", str(settings.pages_port)]


def kernels_cap(memory_bytes: int) -> int:
    """Choose how many pages may be open at once on a machine with so much memory."""
    fitting = int(KERNELS_SHARE_OF_MEMORY * memory_bytes / KERNEL_BYTES)
    return min(max(fitting, FEWEST_KERNELS), MOST_KERNELS)


def kernel_environment(outer: Mapping[str, str]) -> dict[str, str]:
    """Choose what the pages' server and its kernels know: no passwords, no tokens, no place of the store.

    Parameters
    ----------
    outer
        The environment that the platform gives its processes.
    """
    kept = {name: value for name, value in outer.items() if _KEPT_VARIABLES.fullmatch(name)}
    known = {name: outer[name] for name in _KEPT_SETTINGS if name in outer}
    jupyter = {"JUPYTER_PATH": str(SHARE), "JUPYTER_PLATFORM_DIRS": "1", "JUPYTER_NO_CONFIG": "1"}
    # Pictures go back to the machine when they are let go; without it the heap of the Correct page keeps some of them.
    memory = {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    return {**kept, **known, **jupyter, **memory, "OMP_NUM_THREADS": "1"}


def note_left(since: Mapping[str, float], connections: Mapping[str, int], now_s: float) -> dict[str, float]:
    """Tell since when nobody has looked at which kernel.

    Parameters
    ----------
    since
        What this told the last time.
    connections
        How many browsers are connected to each kernel that runs.
    now_s
        A clock that never goes back, in seconds.
    """
    return {kernel: since.get(kernel, now_s) for kernel, n in connections.items() if n == 0}


def content_policy(api_origin: str) -> str:
    """Write the pages' content security policy: this host and the service's origin, nothing else.

    Voila's widgets need inline and evaluated scripts, so these cannot be forbidden; what they may reach is.
    """
    return "; ".join(
        (
            "default-src 'self'",
            "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
            "style-src 'self' 'unsafe-inline'",
            f"img-src 'self' data: blob: {api_origin}".rstrip(),
            f"connect-src 'self' data: blob: ws: wss: {api_origin}".rstrip(),
            "font-src 'self' data:",
            "frame-src 'self' blob: data:",
            "worker-src 'self' blob:",
            "frame-ancestors 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "object-src 'none'",
        )
    )


def api_origins(settings: Settings, host: str) -> str:
    """Name the service's origin as a browser sees it that asked this host; empty where it is the pages' own."""
    if settings.pages_origin:
        return ""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    return f"http://{name}:{settings.port}" if re.fullmatch(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]", name) else ""


def preferred_language(cookie: str | None, accepted: str) -> str:
    """Choose a page's language from a remembered choice, or from what the browser asks for.

    Parameters
    ----------
    cookie
        The person's earlier choice.
    accepted
        The header ``Accept-Language``.
    """
    if cookie in ("en", "cs"):
        return cookie
    wanted = re.findall(r"\b(cs|sk|en)\b", accepted.lower())
    return "cs" if wanted and wanted[0] in ("cs", "sk") else "en"


def configuration(settings: Settings, *, host: str, port: int) -> dict[str, Any]:
    """Make Voila's configuration.

    Parameters
    ----------
    settings
        Of this installation.
    host, port
        Where to listen.
    """
    return {
        "Voila": {
            "ip": host,
            "port": port,
            "port_retries": 0,
            "open_browser": False,
            "root_dir": str(NOTEBOOKS),
            "log_level": "WARN",
            "config_file_paths": [],
        },
        "VoilaConfiguration": {
            "template": TEMPLATE,
            "theme": "light",
            "allow_template_override": "NO",
            "allow_theme_override": "NO",
            "show_tracebacks": False,
            "strip_sources": True,
            "file_allowlist": [],
            "http_header_envs": ["Isletnet-Language", "Isletnet-Person"],
            "extension_allowlist": [
                "@voila-dashboards/widgets-manager8",
                "@jupyter-widgets/jupyterlab-manager",
                "anywidget",
            ],
        },
        "VoilaExecutor": {
            "timeout": 60,
            "cell_error_instruction": "Reload the page; if it happens again, tell your administrator.",
        },
        "MappingKernelManager": {
            "cull_idle_timeout": IDLE_S,
            "cull_interval": CULL_EVERY_S,
            "cull_connected": True,
            "buffer_offline_messages": True,
        },
        # Sockets of files: nobody else on this machine can listen in.
        "KernelManager": {"transport": "ipc"},
        "KernelSpecManager": {"ensure_native_kernel": True},
    }


def main() -> None:
    """Serve the pages until told to stop."""
    import argparse

    from isletnet.settings import Settings

    parser = argparse.ArgumentParser(prog="serve.pages", description="Serve the pages.")
    settings = Settings()
    parser.add_argument("--host", default=settings.host)
    parser.add_argument("--port", type=int, default=settings.pages_port)
    chosen = parser.parse_args()
    kept = kernel_environment(os.environ)
    os.environ.clear()
    os.environ.update(kept)
    # Voila reads where its templates are when it is imported.
    from serve.pages_server import serve_pages

    cap = kernels_cap(psutil.virtual_memory().total)
    serve_pages(settings, configuration(settings, host=chosen.host, port=chosen.port), cap=cap)


if __name__ == "__main__":
    main()
