"""The service in one process, and clients of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from colour_network import write_colour_network
from fastapi import FastAPI
from requests_at_work import picture
from service_in_process import Client, Service, local_client, service
from worker_house import House

from isletnet.networks.model import Network, load_network


@pytest.fixture(scope="session")
def network_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks") / "colour"


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory, network_folder: Path) -> FastAPI:
    """The routes, for one service after the other."""
    app = service(tmp_path_factory.mktemp("first") / "store", network_folder).app
    assert app is not None
    return app


@pytest.fixture
def make_service(tmp_path: Path, network_folder: Path, application: FastAPI) -> Callable[..., Service]:
    """Make a service on an empty store, with other settings than the defaults."""

    def make(**settings: Any) -> Service:
        return service(tmp_path / "store", network_folder, app=application, **settings)

    return make


@pytest.fixture
def made(make_service: Callable[..., Service]) -> Service:
    """A service without keys."""
    return make_service()


@pytest.fixture
def api(made: Service) -> Client:
    """A client of it on the same machine."""
    return local_client(made)


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """A network that knows colours only."""
    return load_network(str(write_colour_network(tmp_path_factory.mktemp("networks") / "colour")), engine="openvino")


@pytest.fixture
def house(tmp_path: Path, network: Network) -> House:
    """A worker on an empty store."""
    return House(tmp_path / "store", network)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, network_folder: Path) -> tuple[Path, str]:
    """The store of a request of two images that is done, and its id; the second name would be a formula."""
    folder = tmp_path_factory.mktemp("finished") / "store"
    made = service(folder, network_folder)
    parameters = json.dumps({"um_per_px": 2.0, "sample_name": "Donor 7"})
    sent = [("images", ("first.png", picture(1))), ("images", ("=1+1.png", picture(2)))]
    answer = local_client(made).post("/api/requests", data={"parameters": parameters}, files=sent)
    assert made.work() == 1
    return folder, str(answer.json()["request_id"])


@pytest.fixture
def done(made: Service, finished: tuple[Path, str]) -> str:
    """A request that is done, in a store of this test's own."""
    folder, request_id = finished
    shutil.copytree(folder, made.settings.store, dirs_exist_ok=True)
    return request_id
