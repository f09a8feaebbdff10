"""Networks that stay loaded, and the memory that they take."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from isletnet.networks.model import LaneRunner

if TYPE_CHECKING:
    from isletnet.networks.model import Network

MOST_LANES = 4
# What a lane of a network takes beside its weights: buffers of tiles of 2 MPx.
BUFFERS_MB = {"bf16": 330.0, "f32": 480.0}
LARGEST_LANE_MB = 500.0
# Images are looked at by two networks in turn: more lanes than leave room for both would have them loaded ever anew.
NETWORKS_AT_ONCE = 2


class Shelf:
    """Networks that stay loaded; beyond a budget of memory the least recently used one leaves.

    Parameters
    ----------
    load
        Gives a network by name.
    budget_mb
        For all of them; the last one stays in any case.
    """

    def __init__(self, load: Callable[[str], Network], *, budget_mb: float) -> None:
        self._load, self._budget_mb = load, budget_mb
        self._loaded: OrderedDict[str, Network] = OrderedDict()

    def get(self, name: str) -> Network:
        """Give a network; raises ``NetworkError`` like `isletnet.networks.model.load_network`."""
        network = self._loaded.get(name)
        if network is None:
            network = self._loaded[name] = self._load(name)
        self._loaded.move_to_end(name)
        while len(self._loaded) > 1 and sum(map(memory_mb, self._loaded.values())) > self._budget_mb:
            self._loaded.popitem(last=False)
        return network

    def rest(self) -> None:
        """Give back the memory of lanes that nobody uses."""
        for network in self._loaded.values():
            if isinstance(network.run, LaneRunner):
                network.run.rest()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the loaded networks, the last used one last."""
        return tuple(self._loaded)


def memory_mb(network: Network) -> float:
    """Estimate what a network takes when it is loaded and has seen large tiles in all its lanes."""
    card, lanes_n = network.card, network.run.lanes_n if isinstance(network.run, LaneRunner) else 1
    weights_mb = sum((card.folder / name).stat().st_size for name in card.files) / 1e6
    return lanes_n * (BUFFERS_MB[network.identity.precision] + weights_mb)


def lanes_for(cpus_n: int, *, budget_mb: float) -> int:
    """Tell how many tiles run at once: one for each core, where the budget has the memory."""
    return max(1, min(MOST_LANES, cpus_n, int(budget_mb / (NETWORKS_AT_ONCE * LARGEST_LANE_MB))))
