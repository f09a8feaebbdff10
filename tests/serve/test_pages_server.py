"""What the pages' server lets through; how it looks is told in tests/pages."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import nbformat
import pytest

from isletnet.settings import Settings
from serve import pages

ROOT = Path(__file__).resolve().parents[2]
OPEN_AT_CAP = """
import os, sys
from isletnet.settings import Settings
from serve import pages
kept = pages.kernel_environment(os.environ)
os.environ.clear(); os.environ.update(kept)
from serve.pages_server import serve_pages
settings = Settings()
serve_pages(settings, pages.configuration(settings, host="127.0.0.1", port=settings.pages_port), cap=0)
"""


@pytest.mark.parametrize(("memory_gb", "kernels_n"), [(1, 4), (4, 10), (8, 21), (64, 40)])
def test_the_cap_follows_the_machine_s_memory(memory_gb: int, kernels_n: int):
    assert pages.kernels_cap(memory_gb * 10**9) == kernels_n


def test_a_kernel_knows_no_secret_and_no_store():
    outer = {
        "PATH": "/bin",
        "PYTHONPATH": "/app",
        "LANG": "C.UTF-8",
        "ISLETNET_PORT": "8123",
        "ISLETNET_STORE": "s3://bucket",
        "ISLETNET_SMTP_PASSWORD": "hush",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "RAY_AUTH_TOKEN_PATH": "/run/token",
        pages.MARK: "/run/x",
    }
    kept = pages.kernel_environment(outer)

    assert {name: kept[name] for name in ("PATH", "PYTHONPATH", "ISLETNET_PORT", pages.MARK)} == {
        "PATH": "/bin",
        "PYTHONPATH": "/app",
        "ISLETNET_PORT": "8123",
        pages.MARK: "/run/x",
    }
    assert not {"ISLETNET_STORE", "ISLETNET_SMTP_PASSWORD", "AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN_PATH"} & set(kept)


def test_a_kernel_is_left_from_the_moment_when_nobody_looks():
    first = pages.note_left({}, {"a": 0, "b": 1, "c": 0}, 10.0)
    second = pages.note_left(first, {"a": 0, "b": 0, "c": 1}, 40.0)

    assert first == {"a": 10.0, "c": 10.0}
    assert second == {"a": 10.0, "b": 40.0}


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "cs-CZ,cs;q=0.9,en;q=0.8", "cs"),
        (None, "de, en;q=0.5, cs;q=0.3", "en"),
        (None, "sk", "cs"),
        ("en", "cs", "en"),
        ("cs; path=/", "en", "en"),
    ],
)
def test_the_language_is_the_remembered_one_or_the_browser_s(cookie: str | None, accepted: str, language: str):
    assert pages.preferred_language(cookie, accepted) == language


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8000"),
        ("localhost", "http://localhost:8000"),
        ("[::1]:8080", "http://[::1]:8000"),
        ("x; script-src *", ""),
    ],
)
def test_the_policy_names_the_service_on_the_host_that_was_asked(host: str, origin: str):
    assert pages.api_origins(Settings(), host) == origin


def test_behind_a_proxy_the_policy_names_this_host_alone():
    policy = pages.content_policy(pages.api_origins(Settings(pages_origin="https://islets.clinic.example"), "x:1"))

    assert "http" not in policy
    assert "frame-ancestors 'self'" in policy


def test_the_command_is_python_s_own():
    command = pages.pages_command(Settings(host="127.0.0.2", pages_port=8181))

    assert command is not None
    assert command[1:] == ["-m", "serve.pages", "--host", "127.0.0.2", "--port", "8181"]


@pytest.mark.parametrize("name", [name for name in pages.PAGES if (pages.NOTEBOOKS / f"{name}.ipynb").is_file()])
def test_a_notebook_is_a_thin_door(name: str):
    notebook = nbformat.read(pages.NOTEBOOKS / f"{name}.ipynb", as_version=4)

    assert len(notebook.cells) <= 5
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    assert sum(len(cell.source.splitlines()) for cell in notebook.cells) <= 10


def test_over_the_cap_a_page_says_so_in_the_person_s_language(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    environment = {**os.environ, "ISLETNET_PAGES_PORT": str(port), "ISLETNET_SMTP_PASSWORD": "hush"}
    process = subprocess.Popen([sys.executable, "-c", OPEN_AT_CAP], cwd=ROOT, env=environment, stderr=subprocess.PIPE)
    try:
        answer = _asked(f"http://127.0.0.1:{port}/analyse", {"Accept-Language": "cs"})
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "60"
        assert "příliš mnoho lidí" in answer.text
        assert "hush" not in answer.text
        english = httpx.get(f"http://127.0.0.1:{port}/analyse?lang=en", trust_env=False)
        assert "Too many people" in english.text
        told = json.dumps(dict(english.headers))
        assert "nosniff" in told
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _asked(url: str, headers: dict[str, str]) -> httpx.Response:
    pause = threading.Event()
    until_s = time.monotonic() + 60
    while True:
        try:
            return httpx.get(url, headers=headers, trust_env=False)
        except httpx.TransportError:
            if time.monotonic() > until_s:
                raise
            pause.wait(0.2)
