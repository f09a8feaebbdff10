"""The example of nginx with ports and paths of a test, as a process."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import find_program

EXAMPLE = Path(__file__).parents[2] / "deploy" / "nginx.conf"
HOST = "islets.clinic.example"
PASSWORDS = {"ann": "one", "bea": "two"}
FRAME = """
user root;
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/isletnet.conf;
}}
"""


def free_ports(n: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


def write_configuration(folder: Path, *, api: int, pages: int, http: int, https: int) -> Path:
    """Write the example with this test's ports and paths, in the frame that Debian gives it."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for old, new in {
        "listen [::]:80;": "",
        "listen [::]:443 ssl http2;": "",
        "listen 80;": f"listen 127.0.0.1:{http};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{https} ssl http2;",
        "client_header_timeout 15s;": "client_header_timeout 1s;",
        "server 127.0.0.1:8000;": f"server 127.0.0.1:{api};",
        "server 127.0.0.1:8080;": f"server 127.0.0.1:{pages};",
        "/etc/nginx/isletnet.crt;": f"{folder}/isletnet.crt;",
        "/etc/nginx/isletnet.key;": f"{folder}/isletnet.key;",
        "/etc/nginx/isletnet.users;": f"{folder}/isletnet.users;",
    }.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "isletnet.conf").write_text(text, encoding="utf-8")
    users = "".join(f"{name}:{{PLAIN}}{password}\n" for name, password in PASSWORDS.items())
    (folder / "isletnet.users").write_text(users, encoding="utf-8")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HOST}"),
            *("-keyout", str(folder / "isletnet.key"), "-out", str(folder / "isletnet.crt")),
        ],
        check=True,
        capture_output=True,
    )
    (folder / "nginx.conf").write_text(FRAME.format(folder=folder), encoding="utf-8")
    return folder / "nginx.conf"


@contextmanager
def nginx(configuration: Path, port: int) -> Iterator[None]:
    """Check a configuration, and serve it until the end of the block."""
    command = [find_program("nginx"), "-p", str(configuration.parent), "-c", str(configuration), "-e", "stderr"]
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert tried.returncode == 0, tried.stderr
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield
    finally:
        running.terminate()
        running.wait(timeout=20)


def wait_for(port: int, seconds: float = 60.0) -> None:
    """Wait until somebody listens on a port of this machine."""
    waiting = threading.Event()
    for _ in range(int(seconds / 0.1)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        waiting.wait(0.1)
    raise AssertionError(f"nobody listens on port {port}")
