"""Platforms that are really started; sizes of the short and the long form; the table at the end."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from isletnet.networks.catalogue import find_network
from serve.up import SERVE_CONFIG
from tests.faults.calls import Sender
from tests.faults.live_platform import USUAL, Platform
from tests.faults.table import Table

IS_LONG = os.environ.get("FAULTS_LONG", "") not in {"", "0"}
SEED = int(os.environ.get("FAULTS_SEED", "1"))
DISK_MB = 64
# How often a platform that tells somebody looks at itself.
LOOKS_EVERY_S = 1.5
DOUBLED = ("Shepherd", "Segmenter")
_ROWS = pytest.StashKey[Table]()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything."""

    requests_n: int = 30
    kills_n: int = 12
    # Every how manieth death is one of the head, which takes everything with it.
    head_every: int = 8
    overload_s: float = 40.0
    uploads_n: int = 12
    soak_s: float = 45.0
    outage_s: float = 15.0
    # Requests of a restored store whose results and files are compared, beside the list of all.
    restored_n: int = 40
    seed: int = SEED


LONG = Sizes(
    requests_n=300,
    kills_n=200,
    head_every=20,
    overload_s=600.0,
    uploads_n=50,
    soak_s=7_200.0,
    outage_s=300.0,
    restored_n=2_000,
    seed=SEED,
)


@pytest.fixture(scope="session")
def sizes() -> Sizes:
    """Of the short form, or of the long one that is run by hand."""
    return LONG if IS_LONG else Sizes()


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Table:
    """Where tests write what they measured."""
    return request.config.stash[_ROWS]


def pytest_configure(config: pytest.Config) -> None:
    path = os.environ.get("FAULTS_TABLE")
    config.stash[_ROWS] = Table(Path(path) if path else None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let those that share a platform come in a row: every other platform would end it, and a start takes long."""
    places = [place for place, item in enumerate(items) if Path(__file__).parent in item.path.parents]
    mine = sorted((items[place] for place in places), key=lambda item: "platform" in getattr(item, "fixturenames", ()))
    for place, item in zip(places, mine, strict=True):
        items[place] = item


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    table = config.stash[_ROWS]
    if table.rows:
        form = "long" if IS_LONG else "short"
        terminalreporter.section(f"measured (seed {SEED}, {form} form)")
        for line in table.lines():
            terminalreporter.write_line(line)


class Platforms:
    """Keeps one platform, for all that want one alike; only one runs at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: tuple[tuple[object, ...], Platform] | None = None
        self._n = 0

    def get(
        self, *, store: str | None = None, variables: Mapping[str, str] | None = None, wrapper: tuple[str, ...] = ()
    ) -> Platform:
        """Give a platform that runs; a new one has an empty store if none is named."""
        wanted = store, tuple(sorted((variables or {}).items())), wrapper
        if self._kept is not None and self._kept[0] == wanted:
            platform = self._kept[1]
            if not platform.is_ready():
                platform.kill_all()
                platform.start()
            return platform
        self.close()
        self._n += 1
        platform = Platform(store or str(self._folder / f"store-{self._n}"), variables=variables, wrapper=wrapper)
        self._kept = wanted, platform
        platform.start()
        return platform

    def close(self) -> None:
        """End the platform."""
        if self._kept is not None:
            self._kept[1].close()
            self._kept = None


@pytest.fixture(scope="session")
def platforms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platforms]:
    """Whoever gives platforms."""
    platforms = Platforms(tmp_path_factory.mktemp("platforms"))
    yield platforms
    platforms.close()


@contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """Make a folder a disk of `DISK_MB`."""
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)], check=False)
    assert made.returncode == 0, "this test makes a small disk (tmpfs), which takes the right to mount"
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of `DISK_MB`."""
    with disk(tmp_path / "disk") as folder:
        yield folder


@pytest.fixture(scope="session")
def watched_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The disk of `watched`."""
    with disk(tmp_path_factory.mktemp("watched") / "disk") as folder:
        yield folder


@pytest.fixture(scope="session")
def watched_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network of `watched`, which a test may damage."""
    folder = tmp_path_factory.mktemp("network") / "network"
    shutil.copytree(find_network("islet-unet-small").folder, folder)
    return folder


@pytest.fixture
def watched(platforms: Platforms, watched_disk: Path, watched_network: Path) -> Platform:
    """A platform on a small disk of its own that tells somebody what breaks; others may have used it before."""
    variables = {
        **USUAL,
        "ISLETNET_ALERT_TO": "ops@clinic.example",
        "ISLETNET_ALERT_MINUTES": str(LOOKS_EVERY_S / 60),
        "ISLETNET_NETWORK": str(watched_network),
        "ISLETNET_SPACE_LIMIT_FRACTION": "0.95",
    }
    return platforms.get(store=str(watched_disk / "store"), variables=variables)


@pytest.fixture
def doubled(platforms: Platforms, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A platform with two of what works, on the same processors, and a store of its own that others used before."""
    config = yaml.safe_load(SERVE_CONFIG.read_text())
    application = config["applications"][0]
    application["args"] = {"workers_n": 1, "worker_cpus": 0.25}
    for deployment in application["deployments"]:
        if deployment["name"] in DOUBLED:
            deployment["num_replicas"] = 2
            deployment["ray_actor_options"]["num_cpus"] = 0
    path = tmp_path_factory.getbasetemp() / "doubled.yaml"
    path.write_text(yaml.safe_dump(config))
    return platforms.get(variables={**USUAL, "ISLETNET_SERVE_CONFIG": str(path)})


@pytest.fixture
def platform(platforms: Platforms) -> Platform:
    """A platform with a local store that others used before."""
    return platforms.get(variables=USUAL)


@pytest.fixture
def sender(platform: Platform) -> Iterator[Sender]:
    """Somebody who uses the platform."""
    with Sender(platform.url) as sender:
        yield sender
