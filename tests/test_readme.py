"""What the README says is so: its commands run, its settings are all of them, its links lead somewhere."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from isletnet.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def after_the_commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the samples in which every command of the README but `make` was run, in order."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "samples", folder / "samples")
    commands = [block for block in blocks("bash") if not block.startswith("make ")]
    script = "\n".join(["set -euo pipefail", *commands])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_commands_write_the_files_that_are_listed(after_the_commands: Path):
    listed = re.findall(r"^\| `([\w.]+\.\w+)` \|", README, flags=re.MULTILINE)
    assert len(listed) == 6
    assert [name for name in listed if not (after_the_commands / "results" / "islets" / name).is_file()] == []
    batch = ("summary.csv", "results.xlsx", "report.pdf", "coco.json", "islets/rois.zip", "islets/contours.geojson")
    assert [name for name in batch if not (after_the_commands / "results" / name).is_file()] == []
    assert len(list((after_the_commands / "synthetic" / "images").iterdir())) == 1


def test_the_python_blocks_run(after_the_commands: Path):
    for block in blocks("python"):
        subprocess.run([sys.executable, "-c", block], cwd=after_the_commands, check=True, capture_output=True)


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    documents = README + (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", documents, flags=re.MULTILINE))
    assert named <= targets
    assert {"demo", "test", "check", "bench"} <= targets


def test_every_setting_is_told_with_its_default():
    told = re.findall(r"^\| `(ISLETNET_\w+)` \| (?:`([^`]*)`|none) \| (.+) \|$", SETTINGS, flags=re.MULTILINE)
    assert told == [
        (f"ISLETNET_{name}".upper(), _plain(field.default), field.description)
        for name, field in Settings.model_fields.items()
    ]


def _plain(default: object) -> str:
    return default.get_secret_value() if isinstance(default, SecretStr) else str(default)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/service.md"])
def test_links_lead_somewhere(document: str):
    path = ROOT / document
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_what_matters_is_on_the_first_screen():
    first = "\n".join(README.splitlines()[:30])
    assert all(words in first for words in ("make demo", "make test", "not a medical device"))
