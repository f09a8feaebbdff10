"""Which networks there are."""

from __future__ import annotations

from pathlib import Path

from isletnet.errors import NetworkError
from isletnet.networks.card import CARD_FILE, Card, read_card

BUNDLED = Path(__file__).resolve().parent / "bundled"


def network_names(root: Path = BUNDLED) -> tuple[str, ...]:
    """Names of the networks under ``root``, sorted."""
    return tuple(sorted({card.parent.parent.name for card in root.glob(f"*/*/{CARD_FILE}")}))


def find_network(name: str, version: str | None = None, root: Path = BUNDLED) -> Card:
    """Find a network by name, the newest version unless one is asked for.

    Parameters
    ----------
    name
        Such as ``islet-unet``, or the path of a network's folder.
    version
        Such as ``1``; None takes the highest number.
    root
        Folder of ``<name>/<version>/``.

    Returns
    -------
    Card

    Raises
    ------
    NetworkError
        If there is no such network or it is damaged.
    """
    if (Path(name) / CARD_FILE).is_file():
        return read_card(Path(name))
    versions = {
        card.parent.name: card.parent for card in root.glob(f"*/*/{CARD_FILE}") if card.parent.parent.name == name
    }
    if not versions:
        known = ", ".join(network_names(root)) or "none"
        raise NetworkError(f"expected one of the installed networks ({known}); there is no such network", subject=name)
    if version is None:
        version = max(versions, key=lambda v: (v.isdecimal(), int(v) if v.isdecimal() else 0, v))
    if version not in versions:
        raise NetworkError(f"expected a version of {', '.join(sorted(versions))}, got {version}", subject=name)
    return read_card(versions[version])
