"""Write environment.yml from pyproject.toml and requirements.lock: `make lock` runs it, a test compares."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==(\S+)", re.MULTILINE)


def canonical(requirement: str) -> str:
    """Name a requirement the way a lock does: no extras, no versions, dashes, lower case."""
    name = re.split(r"[\[<>=!~ ;]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def direct_requirements(pyproject: str) -> dict[str, str]:
    """Map each name that pyproject asks for, in any extra, to the way it is written there without versions."""
    project = tomllib.loads(pyproject)["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return {canonical(line): re.split(r"[<>=!~ ;]", line, maxsplit=1)[0] for line in wanted}


def environment(pyproject: str, lock: str) -> str:
    """Build the text of environment.yml: Python and pip from conda, the rest pinned as in the lock."""
    pins = dict(PIN.findall(lock))
    direct = direct_requirements(pyproject)
    lines = [f"      - {direct[name]}=={pins[name]}" for name in sorted(direct)]
    head = [
        "# The conda door to what requirements.lock pins. Written by `make lock`; do not edit.",
        "name: isletnet",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        "  - python=3.11",
        "  - pip",
        "  - pip:",
    ]
    return "\n".join([*head, *lines, "      - --editable .", ""])


if __name__ == "__main__":
    text = environment((ROOT / "pyproject.toml").read_text(), (ROOT / "requirements.lock").read_text())
    (ROOT / "environment.yml").write_text(text)
