"""The store in a folder: the contract, and what only a disk can do to it."""

import errno
import multiprocessing
import os
import resource
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isletnet.errors import NotStoredError, ParameterError, StorageError, StoreFullError, StoreUnsuitableError
from isletnet.storage.backends.local import UNFINISHED_FOLDER, LocalStore
from isletnet.storage.store import Store, open_store
from tests.storage.store_contract import StoreContract


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return LocalStore(tmp_path / "store")


class TestLocalStore(StoreContract):
    """All of it."""


def everything_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def failing(call: Callable[..., Any], number: int, error: int) -> Callable[..., Any]:
    """Make the n-th call fail, and let the others through."""
    counter = iter(range(1, 1_000_000))

    def replaced(*arguments: Any, **keywords: Any) -> Any:
        if next(counter) == number:
            raise OSError(error, os.strerror(error))
        return call(*arguments, **keywords)

    return replaced


def test_only_the_owner_may_look(tmp_path: Path):
    root = tmp_path / "shared" / "store"
    root.mkdir(parents=True, mode=0o755)
    before = os.umask(0)
    try:
        LocalStore(root).create("a/b", b"secret")
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((root / name).stat().st_mode) for name in (".", "a", "a/b", UNFINISHED_FOLDER)}
    assert modes == {".": 0o700, "a": 0o700, "a/b": 0o600, UNFINISHED_FOLDER: 0o700}


def test_looking_at_a_store_changes_nothing_in_it(tmp_path: Path):
    store = LocalStore(tmp_path / "store")
    assert list(store.list_keys()) == list(store.list_folders("")) == []
    assert store.discard_leftovers() == 0
    assert everything_in(tmp_path / "store") == set()


def test_file_and_folders_reach_the_disk_before_the_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = LocalStore(tmp_path / "store")
    store.create("first", b"")
    calls: list[tuple[str, str]] = []
    fsync, link, mkdir, unlink = os.fsync, os.link, Path.mkdir, Path.unlink

    def note(name: str, call: Callable[..., Any], shown: Callable[..., str]) -> Callable[..., Any]:
        def noted(*arguments: Any, **keywords: Any) -> Any:
            calls.append((name, shown(*arguments)))
            return call(*arguments, **keywords)

        return noted

    def inside(path: str | Path) -> str:
        relative = Path(path).relative_to(tmp_path).as_posix()
        return "unfinished" if UNFINISHED_FOLDER in relative else relative

    monkeypatch.setattr(os, "fsync", note("fsync", fsync, lambda fd: inside(Path(f"/proc/self/fd/{fd}").readlink())))
    monkeypatch.setattr(os, "link", note("link", link, lambda _, target: inside(target)))
    monkeypatch.setattr(Path, "mkdir", note("mkdir", mkdir, lambda path, *_: inside(path)))
    monkeypatch.setattr(Path, "unlink", note("unlink", unlink, inside))
    store.create("a/b/c", b"content")
    store.delete("a/b/c")
    assert [call for call in calls if call[0] != "mkdir" or call[1] != "unfinished"] == [
        ("fsync", "unfinished"),
        ("mkdir", "store/a"),
        ("fsync", "store"),
        ("mkdir", "store/a/b"),
        ("fsync", "store/a"),
        ("link", "store/a/b/c"),
        ("fsync", "store/a/b"),
        ("unlink", "unfinished"),
        ("unlink", "store/a/b/c"),
        ("fsync", "store"),
    ]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("name", ["open", "write", "fsync", "link"])
def test_a_full_disk_leaves_nothing_in_sight_and_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
):
    store = LocalStore(tmp_path / "store")
    store.create("before", b"readable")
    with monkeypatch.context() as patch:
        patch.setattr(os, name, failing(getattr(os, name), 1, code))
        with pytest.raises(StoreFullError, match="wanted: no space is left"):
            store.create("wanted", b"content")
    assert everything_in(tmp_path / "store") == {"before", UNFINISHED_FOLDER}
    assert store.read("before") == b"readable"
    store.create("wanted", b"content")
    assert store.read("wanted") == b"content"


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = LocalStore(tmp_path / "store")
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:3]))
    store.create("key", b"0123456789")
    assert store.read("key") == b"0123456789"


def _write_beyond_the_limit(root: Path, limit_bytes: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
    store = LocalStore(root)
    try:
        store.create_from("big", [b"x" * 50_000] * 4)
    except StoreFullError:
        store.create("small", b"fits")
        os._exit(0)
    os._exit(1)


def test_the_kernel_s_own_limit_leaves_no_partial_file(tmp_path: Path):
    child = multiprocessing.get_context("fork").Process(target=_write_beyond_the_limit, args=(tmp_path, 100_000))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert everything_in(tmp_path) == {"small", UNFINISHED_FOLDER}


@pytest.mark.parametrize(
    ("code", "expected"), [(errno.EACCES, StoreUnsuitableError), (errno.EROFS, StoreUnsuitableError)]
)
def test_a_folder_that_refuses_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: type[StorageError]
):
    store = LocalStore(tmp_path / "store")
    monkeypatch.setattr(os, "link", failing(os.link, 1, code))
    with pytest.raises(expected, match="must be writable"):
        store.create("key", b"")


def test_a_broken_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = LocalStore(tmp_path / "store")
    monkeypatch.setattr(os, "fsync", failing(os.fsync, 1, errno.EIO))
    with pytest.raises(StorageError, match="the disk failed"):
        store.create("key", b"")
    assert list(store.list_keys()) == []


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        LocalStore(tmp_path / "file")


def test_a_store_that_vanished_is_not_silently_begun_anew(tmp_path: Path):
    store = LocalStore(tmp_path / "store")
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    for action in (lambda: store.create("key", b"content"), lambda: store.delete("key")):
        with pytest.raises(StorageError):
            action()
    assert not (tmp_path / "store").exists()


def test_an_object_is_no_folder_of_objects(store: Store):
    store.create("a", b"1")
    store.create("b/c", b"2")
    for key in ("a/x", "b"):
        with pytest.raises(ParameterError, match="cannot be a folder"):
            store.create(key, b"")
    store.delete("b")
    assert list(store.list_keys()) == ["a", "b/c"]


def test_what_strangers_put_there_is_passed_over(tmp_path: Path):
    store = LocalStore(tmp_path)
    store.create("a/b", b"1")
    for name in ("lost+found/x", "a/ü.txt", ".DS_Store", "a/.b.swp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert list(store.list_keys()) == ["a/b"]
    assert list(store.list_folders("")) == ["a"]


def _die_while_writing(root: Path) -> None:
    def chunks():
        yield b"x" * 1000
        os._exit(3)

    LocalStore(root).create_from("key", chunks())


def test_only_the_leftovers_of_the_dead_are_discarded(tmp_path: Path):
    store = LocalStore(tmp_path)
    child = multiprocessing.get_context("fork").Process(target=_die_while_writing, args=(tmp_path,))
    child.start()
    child.join()
    assert child.exitcode == 3
    assert list(store.list_keys()) == []

    def chunks():
        yield b"still "
        assert LocalStore(tmp_path).discard_leftovers() == 1
        yield b"here"

    store.create_from("key", chunks())
    assert store.read("key") == b"still here"
    assert store.discard_leftovers() == 0


def test_a_location_names_a_folder_or_a_bucket(tmp_path: Path):
    open_store(str(tmp_path)).create("a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"
    with pytest.raises(ParameterError, match="a folder or s3://"):
        open_store("ftp://somewhere")
    with pytest.raises(NotStoredError):
        LocalStore(tmp_path).read("b")
