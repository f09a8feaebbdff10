"""`isletnet verify` at the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from isletnet.cli import app
from isletnet.storage.backends.local import LocalStore
from isletnet.storage.layout import image_key
from isletnet.storage.sweep import sweep
from tests.storage.actors import Clock, ended


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store, clock = LocalStore(tmp_path / "store"), Clock()
    ended(store, clock)
    sweep(store, now=clock.now)
    return tmp_path / "store"


def test_a_clean_store(folder: Path):
    result = CliRunner().invoke(app, ["verify", str(folder)])
    assert result.exit_code == 0, result.output
    assert "requests: 1 done\n" in result.stdout
    assert result.stdout.endswith("The store is clean.\n")


def test_a_damaged_store_is_told_to_people_and_machines(folder: Path):
    image = next(folder.rglob("original"))
    image.write_bytes(b"damaged")
    result = CliRunner().invoke(app, ["verify", str(folder)])
    assert result.exit_code == 1
    assert f"damaged    {image.relative_to(folder)}: its content is not what was stored" in result.stdout
    document = json.loads(CliRunner().invoke(app, ["verify", str(folder), "--json"]).stdout)
    assert not document["is_clean"]
    assert document["requests_by_state"] == {"done": 1}
    request_id = image.relative_to(folder).parts[1]
    assert [problem["key"] for problem in document["problems"]] == [image_key(request_id, 0)]


def test_nothing_is_checked_where_nothing_is(tmp_path: Path):
    result = CliRunner().invoke(app, ["verify", str(tmp_path / "nowhere")])
    assert result.exit_code == 1
    assert "nowhere: there is no such folder" in result.stderr
    assert not (tmp_path / "nowhere").exists()
    assert CliRunner().invoke(app, ["verify", "ftp://nowhere"]).exit_code == 1


def test_a_local_store_is_used_without_the_s3_package(folder: Path):
    code = (
        "import sys; from isletnet.storage.store import open_store; from isletnet.storage.verify import verify;"
        f"print(verify(open_store({str(folder)!r})).is_clean, 'obstore' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.split() == ["True", "False"]
