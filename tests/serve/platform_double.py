"""A platform without Ray, for a process of its own: small programs in place of the head, the application and pages.

The test is at the other end of the folder: ``answers`` exists while the application answers, ``broken`` makes it fail
to start, and each program leaves its number in a file.
"""

import sys
from pathlib import Path

from serve.platform.run_folder import MARK, kill_members, locked, make_run_folder
from serve.platform.supervisor import Commands, Patience, Supervisor

PATIENCE = Patience(
    start_s=20, silence_s=0.6, probe_every_s=0.1, undeploy_s=2, first_pause_s=0.1, longest_pause_s=0.2, settled_s=30
)


def _program(text: str, folder: Path) -> list[str]:
    preface = f"import os, pathlib, sys, time; folder = pathlib.Path({str(folder)!r}); "
    return [sys.executable, "-S", "-c", preface + text]


def _stays(name: str, folder: Path) -> list[str]:
    noted = f"(folder / 'new').write_text(str(os.getpid())); os.rename(folder / 'new', folder / {name!r}); "
    return _program(noted + "time.sleep(600)", folder)


def main(run_folder: Path, folder: Path) -> int:
    """Supervise the double."""
    make_run_folder(run_folder)
    commands = Commands(
        head=_stays("head", folder),
        deploy=_program(
            "(folder / 'broken').exists() and sys.exit('no such network'); (folder / 'answers').touch()", folder
        ),
        undeploy=_program("(folder / 'undeployed').touch(); (folder / 'hangs').exists() and time.sleep(600)", folder),
        pages=_stays("pages", folder),
    )
    with locked(run_folder):
        kill_members(run_folder)
        return Supervisor(
            lambda: commands,
            (folder / "answers").exists,
            folder=run_folder,
            environment={MARK: str(run_folder)},
            tell_up=lambda seconds: (folder / "ups").open("a").write("up\n") and None,
            patience=PATIENCE,
        ).run()


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
