"""What all commands share: exit codes, plain errors, and the settings of this installation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import typer

from isletnet.errors import IsletnetError

if TYPE_CHECKING:
    from isletnet.settings import Settings

EXIT_FAILED = 1
EXIT_NOTHING_DONE = 2
EXIT_INTERRUPTED = 130


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn an expected error into one sentence and an exit code."""
    try:
        yield
    except IsletnetError as error:
        typer.echo(f"isletnet: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from error


def need(package: str, extra: str) -> None:
    """End the program where a package is absent that only a part of isletnet takes; ``extra`` brings it."""
    if find_spec(package) is None:
        typer.echo(f"isletnet: this needs the package {package}; install isletnet[{extra}]", err=True)
        raise typer.Exit(EXIT_FAILED)


def read_settings() -> Settings:
    """Read the settings; a value that cannot be is named and ends the program."""
    from pydantic import ValidationError

    from isletnet.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        variable = f"ISLETNET_{'_'.join(map(str, first['loc']))}".upper()
        typer.echo(f"isletnet: {variable}: {first['msg']}, got {first['input']!r}", err=True)
        raise typer.Exit(EXIT_FAILED) from error
