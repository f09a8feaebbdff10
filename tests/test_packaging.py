"""What is shipped and pinned, and what importing it costs."""

import re
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import isletnet

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
REQUIRED = (
    "jupyterlab ipywidgets voila tensorflow numpy scikit-image plotly pyvista scipy pandas ray[serve] papermill "
    "pytest nbval"
).split()
LONGEST_FILE_LINES = 320


def bare_name(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9._-]+", requirement).group().lower().replace("_", "-")


def pins() -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK, flags=re.MULTILINE))


def conda_pip_requirements() -> list[str]:
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    return next(entry["pip"] for entry in dependencies if isinstance(entry, dict))


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_every_pin_has_a_hash_and_no_address_is_named():
    entries = re.split(r"\n(?=\S)", LOCK)
    unhashed = [entry.split()[0] for entry in entries if "==" in entry and "--hash=sha256:" not in entry]
    assert unhashed == []
    assert len(pins()) > 100
    assert not re.search(r"https?://|--index|--extra-index|--find-links|nvidia|cuda", LOCK)


@pytest.mark.parametrize("requirement", REQUIRED)
def test_every_required_package_is_in_the_lock_and_in_the_conda_environment(requirement: str):
    version = pins()[bare_name(requirement)]
    assert f"{requirement}=={version}" in conda_pip_requirements()


def test_the_conda_environment_is_the_lock_s_direct_requirements():
    project = PROJECT["project"]
    asked = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    conda = dict(line.split("==") for line in conda_pip_requirements() if "==" in line)
    assert {bare_name(name): version for name, version in conda.items()} == {
        bare_name(line): pins()[bare_name(line)] for line in asked
    }, "environment.yml is out of step: run `make lock`"


def test_importing_is_quick_and_loads_nothing_heavy():
    code = "import sys, isletnet; print(*{name.partition('.')[0] for name in sys.modules})"
    durations_s = []
    for _ in range(3):
        start = time.perf_counter()
        loaded = set(run_python(code).split())
        durations_s.append(time.perf_counter() - start)
    assert "isletnet" in loaded
    assert not loaded & {"numpy", "pandas", "scipy", "skimage", "openvino", "tensorflow", "matplotlib", "typer", "ray"}
    assert min(durations_s) < 0.5


def test_every_public_name_is_there():
    assert all(getattr(isletnet, name) is not None for name in isletnet.__all__)
    assert set(isletnet.__all__) <= set(dir(isletnet))
    with pytest.raises(AttributeError, match="has no attribute 'analyze'"):
        isletnet.analyze  # noqa: B018


def test_every_wing_stands_in_the_layers():
    layers = next(c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")["layers"]
    named = set(re.findall(r"isletnet\.([a-z0-9_]+)", " ".join(layers)))
    entries = (ROOT / "isletnet").iterdir()
    wings = {e.stem for e in entries if e.suffix == ".py" or (e.is_dir() and e.name != "__pycache__")}
    assert wings - {"__init__"} <= named


def test_no_file_is_longer_than_a_reader_can_bear():
    modules = [path for folder in ("isletnet", "serve", "tests", "tools") for path in (ROOT / folder).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules}
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE_LINES} == {}


def test_the_wheel_ships_all_of_the_library_and_no_tests(tmp_path: Path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    assert isletnet.__version__ in wheel.name
    shipped = set(zipfile.ZipFile(wheel).namelist())
    assert "isletnet/py.typed" in shipped
    assert not [name for name in shipped if name.startswith(("tests/", "tools/"))]
    ours = [path for path in (ROOT / "isletnet").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {str(path.relative_to(ROOT)) for path in ours} <= shipped
    studies = [path.name for path in (ROOT / "studies").glob("*.*")]
    assert {f"isletnet/studies/notebooks/{name}" for name in studies} <= shipped
