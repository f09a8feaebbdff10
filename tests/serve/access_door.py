"""An access to call in tests, and how this machine and the proxy call it."""

from isletnet.settings import Settings
from serve.access.identity import Access, Principal
from serve.access.keys import SCOPES, add_key
from tests.storage.actors import MORNING, Clock
from tests.storage.store_contract import MemoryStore

HERE = [("Host", "localhost:8000")]
LOCAL = Principal(name="local", scopes=frozenset(SCOPES), how="local")
PROXY = "10.0.0.7"
SIGNED_IN = [("Host", "islets.clinic.example"), ("X-Forwarded-User", "ann@clinic.example")]


class Door:
    """An access with clocks that stand, and a short way to call it."""

    def __init__(self, **settings: str | int) -> None:
        self.store = MemoryStore()
        self.clock = Clock()
        self.settings = Settings(**settings)
        self.access = self.again()

    def again(self) -> Access:
        """The access of another process."""
        return Access(self.settings, self.store, monotonic=self.clock.monotonic, now=lambda: self.clock.now)

    def call(self, *headers: tuple[str, str], method: str = "GET", peer: str | None = "127.0.0.1") -> Principal:
        return self.access.identify(method=method, headers=headers, peer=peer)

    def key(self, *scopes: str, name: str = "ann") -> str:
        return add_key(self.store, name, scopes or ("submit", "read"), actor="admin", now=MORNING)[0]
