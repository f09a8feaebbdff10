"""A store whose user dies at a given operation: really, or by an exception that nothing else catches."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, TypeVar

from isletnet.storage.store import Store

Result = TypeVar("Result")


class Crash(BaseException):
    """The process is dead."""


def raise_crash() -> None:
    raise Crash


class CrashStore(Store):
    """Calls ``die`` before or after the operation number ``at``; a dead process does nothing more."""

    def __init__(
        self, inner: Store, at: int, moment: Literal["before", "after"], die: Callable[[], Any] = raise_crash
    ) -> None:
        self._inner = inner
        self._at = at
        self._moment = moment
        self._die = die
        self.operations_n = 0

    def _do(self, operation: Callable[[], Result]) -> Result:
        if self.operations_n >= self._at:
            self._die()
        self.operations_n += 1
        if self.operations_n == self._at and self._moment == "before":
            self._die()
        result = operation()
        if self.operations_n == self._at:
            self._die()
        return result

    def create(self, key: str, content: bytes) -> None:
        self._do(lambda: self._inner.create(key, content))

    def create_from(self, key: str, chunks: Iterable[bytes]) -> None:
        self._do(lambda: self._inner.create_from(key, chunks))

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> bytes:
        return self._do(lambda: self._inner.read(key, start=start, stop=stop))

    def stream(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        return iter(self._do(lambda: list(self._inner.stream(key, start=start))))

    def size(self, key: str) -> int:
        return self._do(lambda: self._inner.size(key))

    def exists(self, key: str) -> bool:
        return self._do(lambda: self._inner.exists(key))

    def list_keys(self, folder: str = "") -> Iterator[str]:
        return iter(self._do(lambda: list(self._inner.list_keys(folder))))

    def list_folders(self, folder: str) -> Iterator[str]:
        return iter(self._do(lambda: list(self._inner.list_folders(folder))))

    def delete(self, key: str) -> None:
        self._do(lambda: self._inner.delete(key))

    def discard_leftovers(self) -> int:
        return self._do(self._inner.discard_leftovers)
