"""The deployment that owns a device: tiles of any image and any network in, probabilities out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from ray import serve
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.handle import DeploymentHandle

from isletnet.errors import IsletnetError
from isletnet.networks.catalogue import find_network
from isletnet.networks.model import Network, load_network
from isletnet.schemas import NetworkIdentity
from isletnet.settings import Settings
from serve.work.desk import Desk, DeskReport
from serve.work.direct import LineLostError, Shortcut, Switchboard
from serve.work.networks import Shelf, lanes_for
from serve.work.trays import LentTile, Trays, borrow

if TYPE_CHECKING:
    from isletnet.networks.model import Runner
    from serve.work.images import Load

# A segmenter that dies is started anew; a tile that kills it more often than this is not given to it again.
MOST_DEATHS = 2
# So much nicer than what answers people are the processes that compute, or many requests would keep a caller waiting.
# Threads that they start have the same.
BEHIND_ANSWERS = 10

Answer = TypeVar("Answer")


@serve.deployment(name="Segmenter", max_ongoing_requests=64, ray_actor_options={"num_cpus": 1})
class Segmenter:
    """Holds several networks and answers tiles; one for each device.

    Parameters
    ----------
    settings
        None reads the environment.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        os.nice(BEHIND_ANSWERS)
        chosen = settings or Settings()
        cpus_n = os.cpu_count() or 1
        # Ray allows one thread a CPU that it gave; the device may use all.
        threads = chosen.threads or cpus_n
        # Lanes have all threads each, so that several would use more than were allowed.
        lanes = 1 if chosen.threads else lanes_for(cpus_n, budget_mb=chosen.network_memory_mb)

        def load(name: str) -> Network:
            return load_network(name, engine=chosen.engine, precision=chosen.precision, threads=threads, lanes=lanes)

        self._desk = Desk(Shelf(load, budget_mb=chosen.network_memory_mb), lanes=lanes)
        # The default network is there before the first request.
        self._desk.identity(chosen.network).result()
        self._switchboard = Switchboard(self._called)

    async def predict(
        self, network: str, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """Segment a tile; see `serve.work.desk.Desk.predict`."""
        return await asyncio.wrap_future(self._desk.predict(network, rgb, log_background))

    async def predict_lent(self, network: str, lent: LentTile) -> bool:
        """Segment a tile in shared memory, and put the answer there; False if that memory is not of this machine."""
        tile = borrow(lent)
        if tile is None:
            return False
        answer = await asyncio.wrap_future(self._desk.predict(network, tile.rgb, tile.log_background))
        tile.answer[...] = answer
        return True

    async def address(self) -> str | None:
        """Tell where a direct line ends; None where there are several segmenters, among which Ray Serve chooses."""
        return self._switchboard.address if _is_alone() else None

    async def identity(self, network: str) -> NetworkIdentity:
        """Tell which network that is, and how it is run here; raises ``NetworkError``."""
        return await asyncio.wrap_future(self._desk.identity(network))

    def check_health(self) -> None:
        """Tell Ray Serve whether it works; raises ``RuntimeError`` when a thread of its desk has ended."""
        if not self._desk.is_working:
            raise RuntimeError("a thread of the segmenter has ended")

    async def report(self) -> DeskReport:
        """Tell what was done since the start."""
        return self._desk.report()

    def _called(self, question: tuple[str, LentTile]) -> bool | None:
        """Segment a lent tile for somebody on a direct line; None once there are other segmenters."""
        if not _is_alone():
            return None
        network, lent = question
        tile = borrow(lent)
        if tile is None:
            return False
        tile.answer[...] = self._desk.predict(network, tile.rgb, tile.log_background).result()
        return True


def _is_alone() -> bool:
    return serve.get_replica_context().world_size == 1


def remote_loader(segmenter: DeploymentHandle[Any]) -> Load:
    """Give networks whose tiles go to a segmenter.

    Parameters
    ----------
    segmenter
        Handle of `Segmenter`.

    Returns
    -------
    callable
        Name -> network; raises ``NetworkError``.
    """
    trays = Trays()
    shortcut = Shortcut(lambda: segmenter.address.remote().result())

    def lend(network: str, lent: LentTile) -> bool:
        answer: bool | None = shortcut.ask((network, lent))
        return bool(segmenter.predict_lent.remote(network, lent).result()) if answer is None else answer

    @cache
    def load(name: str) -> Network:
        identity: NetworkIdentity = _ask(lambda: segmenter.identity.remote(name).result())
        return Network(card=find_network(name), identity=identity, run=_runner(segmenter, name, trays, lend))

    return load


def _runner(segmenter: DeploymentHandle[Any], name: str, trays: Trays, lend: Callable[[str, LentTile], bool]) -> Runner:
    def near(rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8] | None:
        with trays.lend(rgb, log_background) as (lent, answer):
            return answer.copy() if lend(name, lent) else None

    def far(rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        answer: NDArray[np.uint8] = segmenter.predict.remote(name, np.ascontiguousarray(rgb), log_background).result()
        return answer

    is_near = True

    def run(rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        nonlocal is_near
        answer = _ask(partial(near, rgb, log_background)) if is_near else None
        # A segmenter on another machine: from now on tiles are sent.
        is_near = answer is not None
        return answer if answer is not None else _ask(partial(far, rgb, log_background))

    return run


def _ask(call: Callable[[], Answer]) -> Answer:
    """Ask a segmenter; one that dies meanwhile is asked again when it is back."""
    deaths = 0
    while True:
        try:
            return call()
        except RayTaskError as error:
            if isinstance(error.cause, IsletnetError):
                raise error.cause from None
            raise
        except (RayActorError, LineLostError):
            deaths += 1
            if deaths > MOST_DEATHS:
                raise
