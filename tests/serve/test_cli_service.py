"""`isletnet up`, `keys` and `store` at the command line."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from isletnet.cli import app
from isletnet.errors import ClockError
from isletnet.storage import audit, retention
from isletnet.storage.backends.local import LocalStore
from serve.access.keys import Keyring


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    monkeypatch.setenv("ISLETNET_STORE", str(tmp_path / "store"))
    return LocalStore(tmp_path / "store")


def isletnet(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_a_key_is_shown_once_works_and_can_be_revoked(store: LocalStore):
    made = isletnet("keys", "add", "ann", "--scopes", "submit, read")
    assert made.exit_code == 0
    key = made.stdout.strip()
    found = Keyring(store, monotonic=lambda: 0.0).find(key)
    assert found is not None
    assert (found.name, found.scopes) == ("ann", ("submit", "read"))
    listed = isletnet("keys", "list")
    assert "submit,read" in listed.stdout
    assert key not in listed.stdout
    assert isletnet("keys", "revoke", found.key_id).exit_code == 0
    (told,) = json.loads(isletnet("keys", "list", "--json").stdout)
    assert told["key_id"] == found.key_id
    assert told["revoked_utc"] is not None
    assert Keyring(store, monotonic=lambda: 0.0).find(key) is None


def test_what_cannot_be_is_one_sentence(store: LocalStore):
    result = isletnet("keys", "add", "ann", "--scopes", "everything")
    assert result.exit_code == 1
    assert result.stderr.startswith("isletnet: scopes are one or more of")
    assert isletnet("keys", "revoke", "0" * 16).exit_code == 1
    assert list(store.list_keys()) == []


def test_a_store_without_keys_says_so_and_none_is_made(store: LocalStore, tmp_path: Path, monkeypatch):
    listed = isletnet("keys", "list")
    assert (listed.exit_code, listed.stdout, listed.stderr) == (0, "", "There are no keys yet.\n")
    monkeypatch.setenv("ISLETNET_STORE", str(tmp_path / "nowhere"))
    assert isletnet("keys", "list").exit_code == 1
    assert not (tmp_path / "nowhere").exists()


def test_up_refuses_to_listen_beyond_this_machine_without_keys(store: LocalStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ISLETNET_HOST", "0.0.0.0")
    result = isletnet("up")
    assert result.exit_code == 1
    assert "isletnet keys add" in result.stderr


def test_a_clock_that_jumped_is_confirmed_by_a_named_admin(store: LocalStore):
    retention.check_clock(store, now=datetime.now(UTC) - timedelta(days=9))
    with pytest.raises(ClockError):
        retention.check_clock(store, now=datetime.now(UTC))
    assert isletnet("store", "confirm-clock", "ann").exit_code == 0
    retention.check_clock(store, now=datetime.now(UTC))
    assert [(entry.kind, entry.actor) for entry in audit.entries(store)] == [("clock-confirmed", "ann")]
