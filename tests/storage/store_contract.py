"""What every store must do: each backend's tests inherit it. Also a store in memory, for tests with many steps."""

import secrets
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from isletnet.errors import AlreadyStoredError, NotStoredError, ParameterError
from isletnet.storage.store import Store, check_folder, check_key, sha256_of

RACERS = 16
# More than one part of a multipart upload.
BIG_BYTES = 17 * (1 << 20) + 3
BAD_KEYS = (
    *("", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/./b", "a/.hidden", "a\0b", "a b", "a\\b", "ä"),
    *("a/b\n", "a%2e", "a?b", "a#b", "a" * 513, "a/" * 256 + "a"),
)


class MemoryStore(Store):
    """A store in a dictionary."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def create(self, key: str, content: bytes) -> None:
        with self._lock:
            if check_key(key) in self._objects:
                raise AlreadyStoredError("it is stored already", subject=key)
            self._objects[key] = bytes(content)

    def create_from(self, key: str, chunks: Iterable[bytes]) -> None:
        self.create(key, b"".join(chunks))

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> bytes:
        try:
            return self._objects[check_key(key)][start:stop]
        except KeyError:
            raise NotStoredError("there is no such object", subject=key) from None

    def stream(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        yield self.read(key, start=start)

    def size(self, key: str) -> int:
        return len(self.read(key))

    def exists(self, key: str) -> bool:
        return check_key(key) in self._objects

    def list_keys(self, folder: str = "") -> Iterator[str]:
        prefix = f"{check_folder(folder)}/" if folder else ""
        yield from sorted(key for key in list(self._objects) if key.startswith(prefix))

    def list_folders(self, folder: str) -> Iterator[str]:
        depth = folder.count("/") + 1 if folder else 0
        deeper = (key.split("/") for key in self.list_keys(folder))
        yield from sorted({segments[depth] for segments in deeper if len(segments) > depth + 1})

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(check_key(key), None)

    def discard_leftovers(self) -> int:
        return 0


class StoreContract:
    """Inherit it and provide a fixture ``store`` that gives an empty one."""

    races_n = 20

    def test_what_is_created_is_read(self, store: Store):
        store.create("a/b.json", b"content")
        assert store.read("a/b.json") == b"content"
        assert store.size("a/b.json") == 7
        assert store.exists("a/b.json")
        assert not store.exists("a/b")
        assert not store.exists("a")
        assert store.exist(("a", "a/b.json", "a/b")) == [False, True, False]
        assert store.exist(()) == []

    def test_an_empty_object_is_an_object(self, store: Store):
        store.create("empty", b"")
        store.create_from("empty-too", ())
        assert store.read("empty") == store.read("empty-too") == b""
        assert list(store.stream("empty")) in ([], [b""])
        assert store.size("empty") == 0

    def test_nothing_is_overwritten(self, store: Store):
        store.create("key", b"first")
        with pytest.raises(AlreadyStoredError, match="key"):
            store.create("key", b"second")
        with pytest.raises(AlreadyStoredError):
            store.create("key", b"first")
        with pytest.raises(AlreadyStoredError):
            store.create_from("key", [b"th", b"ird"])
        assert store.read("key") == b"first"
        assert list(store.list_keys()) == ["key"]

    @pytest.mark.parametrize(("racers", "pieces_n"), [(RACERS, 1), (4, 9)])
    def test_of_many_writers_exactly_one_wins(self, store: Store, racers: int, pieces_n: int):
        piece_bytes = 1 if pieces_n == 1 else 1 << 20
        barrier = threading.Barrier(racers)

        def race(key: str, racer: int) -> bool:
            barrier.wait()
            try:
                store.create_from(key, [bytes([racer]) * piece_bytes] * pieces_n)
            except AlreadyStoredError:
                return False
            return True

        with ThreadPoolExecutor(racers) as pool:
            for number in range(self.races_n if pieces_n == 1 else 1):
                key = f"race/{number}"
                won = list(pool.map(partial(race, key), range(racers)))
                assert sum(won) == 1
                assert store.read(key) == bytes([won.index(True)]) * piece_bytes * pieces_n

    def test_a_big_object_comes_and_goes_in_pieces(self, store: Store):
        content = secrets.token_bytes(BIG_BYTES)
        pieces = [content[i : i + 1_000_003] for i in range(0, BIG_BYTES, 1_000_003)]
        store.create_from("big", iter(pieces))
        assert store.size("big") == BIG_BYTES
        assert b"".join(store.stream("big")) == content
        assert b"".join(store.stream("big", start=BIG_BYTES - 5)) == content[-5:]
        read_pieces = iter(pieces)
        with pytest.raises(AlreadyStoredError):
            store.create_from("big", read_pieces)
        assert next(read_pieces, None) is None
        assert list(store.list_keys()) == ["big"]

    @pytest.mark.parametrize(
        ("start", "stop"), [(0, 4), (2, 5), (9, 10), (3, None), (8, 99), (10, 12), (12, 20), (4, 4), (0, 0)]
    )
    def test_a_part_is_read_like_a_slice(self, store: Store, start: int, stop: int | None):
        store.create("digits", b"0123456789")
        assert store.read("digits", start=start, stop=stop) == b"0123456789"[start:stop]

    def test_an_upload_that_breaks_off_leaves_nothing(self, store: Store):
        def breaks_off(pieces_n: int) -> Iterator[bytes]:
            for _ in range(pieces_n):
                yield b"x" * (1 << 20)
            raise ConnectionResetError("the client is gone")

        for pieces_n in (1, 12, 20):
            with pytest.raises(ConnectionResetError, match="the client is gone"):
                store.create_from("partial", breaks_off(pieces_n))
        assert list(store.list_keys()) == []
        assert store.discard_leftovers() == 0
        store.create("partial", b"whole")
        assert store.read("partial") == b"whole"

    def test_what_is_not_there_is_told(self, store: Store):
        store.create("a/b", b"1")
        for absent in ("nothing", "a", "a/b/c", "a/c"):
            with pytest.raises(NotStoredError, match=absent):
                store.read(absent)
            with pytest.raises(NotStoredError):
                list(store.stream(absent))
            with pytest.raises(NotStoredError):
                store.size(absent)
            with pytest.raises(NotStoredError):
                sha256_of(store, absent)
            assert not store.exists(absent)

    def test_keys_are_listed_in_order_below_whole_folders_only(self, store: Store):
        keys = ["a-b/c", "a/b/c", "a/b/d", "a/bc", "a/e/f/g", "ab/c", "z"]
        for key in reversed(keys):
            store.create(key, b"")
        assert list(store.list_keys()) == keys
        assert list(store.list_keys("a")) == ["a/b/c", "a/b/d", "a/bc", "a/e/f/g"]
        assert list(store.list_keys("a/b")) == ["a/b/c", "a/b/d"]
        assert list(store.list_keys("a/bc")) == []
        assert list(store.list_keys("nothing")) == []
        assert list(store.list_folders("")) == ["a", "a-b", "ab"]
        assert list(store.list_folders("a")) == ["b", "e"]
        assert list(store.list_folders("a/bc")) == []

    def test_a_listing_may_be_longer_than_a_page(self, store: Store):
        keys = [f"many/{number:04d}" for number in range(1001)]
        with ThreadPoolExecutor(RACERS) as pool:
            list(pool.map(lambda key: store.create(key, b""), keys))
        assert list(store.list_keys("many")) == keys

    def test_what_is_deleted_is_gone_and_its_key_is_free(self, store: Store):
        store.create("a/b/c", b"1")
        store.create("a/d", b"2")
        store.delete("a/b/c")
        store.delete("a/b/c")
        store.delete("nothing/here")
        assert list(store.list_keys()) == ["a/d"]
        store.create("a/b/c", b"3")
        assert store.read("a/b/c") == b"3"

    def test_creating_and_deleting_beside_each_other_loses_nothing(self, store: Store):
        def comes_and_goes(number: int) -> None:
            for turn in range(10):
                store.create(f"shared/folder/{number}-{turn}", b"x")
                assert store.exists(f"shared/folder/{number}-{turn}")
                store.delete(f"shared/folder/{number}-{turn}")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(comes_and_goes, range(8)))
        assert list(store.list_keys()) == []

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_keys_that_could_lead_astray_are_refused_everywhere(self, store: Store, key: str):
        store.create("a/b", b"1")
        actions = [
            lambda: store.create(key, b"x"),
            lambda: store.create_from(key, [b"x"]),
            lambda: store.read(key),
            lambda: list(store.stream(key)),
            lambda: store.size(key),
            lambda: store.exists(key),
            lambda: store.delete(key),
            *([lambda: list(store.list_keys(key)), lambda: list(store.list_folders(key))] if key else []),
        ]
        for action in actions:
            with pytest.raises(ParameterError, match="a key is"):
                action()
        assert list(store.list_keys()) == ["a/b"]

    def test_the_probe_passes_and_leaves_nothing(self, store: Store):
        store.probe()
        assert list(store.list_keys()) == []
