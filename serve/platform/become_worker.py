"""Becomes a process of Ray, which Ray does by a program that loads all of Ray only to start another one that does.

Run by Ray with the path of its worker and that one's arguments. Whoever wants another environment for a process gets
it by Ray's own program.
"""

import os
import sys

_LANGUAGE, _CONTEXT = "--language=", "--serialized-runtime-env-context="


def command(arguments: list[str]) -> list[str]:
    """Choose what to become.

    Parameters
    ----------
    arguments
        What Ray gives: flags of Python, the path of the worker, its arguments, and what is for this program.

    Raises
    ------
    ValueError
        A process in another language than Python, which Ray's own program starts in an environment only.
    """
    if any(one.startswith(_CONTEXT) for one in arguments):
        folder = next(one for one in arguments if one.endswith(".py")).rpartition("/")[0]
        return [sys.executable, f"{folder}/setup_worker.py", *arguments]
    languages = [one for one in arguments if one.startswith(_LANGUAGE)]
    if languages not in ([], [f"{_LANGUAGE}PYTHON"]):
        raise ValueError(f"processes in Python are started here; asked for is {languages[-1]}")
    return [sys.executable, *(one for one in arguments if not one.startswith(_LANGUAGE))]


if __name__ == "__main__":
    chosen = command(sys.argv[1:])
    os.execv(chosen[0], chosen)
