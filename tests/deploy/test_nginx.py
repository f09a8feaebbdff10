"""The example for one host: nginx with pages and API behind it, driven over TLS."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import httpx
import pytest
from service_in_process import Service, service

from serve.access.keys import add_key
from tests.client.live import Server
from tests.deploy.one_host import HOST, PASSWORDS, free_ports, nginx, write_configuration
from tests.serve.requests_at_work import picture


class Mirror(socketserver.StreamRequestHandler):
    """Stands for the pages: answers with the path and the headers that came."""

    def handle(self) -> None:
        path = self.rfile.readline().split()[1].decode()
        lines = iter(lambda: self.rfile.readline().strip().decode(), "")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = json.dumps({"path": path, **headers}).encode()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@dataclass(frozen=True, kw_only=True)
class House:
    """One host, and the service behind it."""

    made: Service
    https_port: int
    http_port: int

    def client(self, name: str | None = None, **headers: str) -> httpx.Client:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.https_port}",
            headers={"Host": HOST, **headers},
            auth=(name, PASSWORDS[name]) if name else None,
            verify=trusting,
            trust_env=False,
            timeout=20,
        )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    settings = {"pages_origin": f"https://{HOST}", "trusted_proxy": "127.0.0.1"}
    made = service(folder / "store", folder / "network", **settings)
    api = Server(lambda: made.app)
    pages = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mirror)
    http, https = free_ports(2)
    configuration = write_configuration(folder, api=api.port, pages=pages.server_address[1], http=http, https=https)
    api.start()
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    with nginx(configuration, https):
        yield House(made=made, https_port=https, http_port=http)
    pages.shutdown()
    pages.server_close()
    api.stop()


def test_plain_http_leads_to_tls(house: House):
    answer = httpx.get(f"http://127.0.0.1:{house.http_port}/history?lang=cs", headers={"Host": HOST}, trust_env=False)
    assert (answer.status_code, answer.headers["Location"]) == (308, f"https://{HOST}/history?lang=cs")


@pytest.mark.parametrize("path", ["/analyse", "/api/session", "/api/kernels/1/channels"])
def test_nobody_gets_in_unknown(house: House, path: str):
    with house.client() as client:
        assert client.get(path).status_code == 401


def test_machines_may_ask_whether_it_lives(house: House):
    with house.client() as client:
        answer = client.get("/api/health/live")
    assert (answer.status_code, answer.json()["state"]) == (200, "ok")
    assert "max-age" in answer.headers["Strict-Transport-Security"]


@pytest.mark.parametrize("path", ["/analyse?request=1", "/api/kernels/1/channels", "/voila/static/main.js"])
def test_pages_and_their_kernels_are_reached(house: House, path: str):
    with house.client("ann", Upgrade="websocket", Connection="upgrade") as client:
        told = client.get(path).json()
    assert (told["path"], told["host"], told["x-forwarded-user"]) == (path, HOST, "ann")
    assert (told["upgrade"], told["connection"]) == ("websocket", "upgrade")


def test_nobody_is_somebody_else(house: House):
    spoken = {"X-Forwarded-User": "bea"}
    with house.client("ann", **spoken) as client:
        assert client.get("/api/session").json()["name"] == "ann"
        assert client.get("/analyse").json()["x-forwarded-user"] == "ann"
    with house.client(**spoken, Authorization="Bearer nonsense") as client:
        assert client.get("/api/session").status_code == 401


@pytest.mark.parametrize("path", ["/", "/analyse", "/api/kernels/1/channels", "/voila/api/shutdown/1"])
def test_a_key_or_what_looks_like_one_opens_no_page(house: House, path: str):
    key, _ = add_key(house.made.store, "robot", ("submit", "read"), actor="test", now=house.made.now())
    for bearer in ("nonsense", key):
        with house.client(Authorization=f"Bearer {bearer}") as client:
            assert client.get(path).status_code == 401


def line_to(house: House) -> ssl.SSLSocket:
    """Open a line, and say nothing yet."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    line = trusting.wrap_socket(socket.create_connection(("127.0.0.1", house.https_port), timeout=20))
    line.sendall(b"GET /api/health/live HTTP/1.1\r\nHost: x\r\n")
    return line


def test_a_head_that_drips_is_given_up(house: House):
    with line_to(house) as line:
        line.settimeout(0.2)
        is_over = False
        for number in range(50):
            line.sendall(b"X-%d: y\r\n" % number)
            with suppress(TimeoutError):
                is_over = not line.recv(1000)
                break
        assert is_over


def test_a_head_without_end_is_cut_off(house: House):
    with line_to(house) as line:
        for _ in range(25):
            line.sendall(b"X-Long: " + b"y" * 4000 + b"\r\n")
        assert line.recv(1000).startswith(b"HTTP/1.1 400")


def test_a_program_needs_only_its_key(house: House):
    key, _ = add_key(house.made.store, "robot", ("submit", "read"), actor="test", now=house.made.now())
    with house.client(Authorization=f"Bearer {key}") as client:
        assert client.get("/api/session").json()["name"] == "robot"


def test_large_files_pass_and_progress_comes_as_it_happens(house: House):
    with house.client("ann", Origin=f"https://{HOST}") as client:
        client.headers["X-CSRF-Token"] = client.get("/api/session").json()["csrf"]
        request_id = client.post("/api/requests", json={"um_per_px": 2.0}).json()["request_id"]
        here = f"/api/requests/{request_id}"
        # Beyond what nginx takes by itself; bytes after the end of a PNG are no part of it.
        sent = client.put(f"{here}/images/0", content=picture() + bytes(3_000_000))
        assert (sent.status_code, sent.json()["size_bytes"]) == (201, len(picture()) + 3_000_000)
        assert client.post(f"{here}/submit").status_code == 202
        with client.stream("GET", f"{here}/events") as events:
            lines = (line for line in events.iter_lines() if line.startswith("data:"))
            assert json.loads(next(lines)[5:])["state"] == "queued"
            house.made.work()
            assert "done" in [json.loads(line[5:]).get("state") for line in lines]
    with house.client("bea") as client:
        assert client.get(here).status_code == 404
