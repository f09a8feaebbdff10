"""The commands of the service: ``isletnet up``, ``verify``, ``keys ...`` and ``store ...``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from isletnet.door import EXIT_FAILED, plain_errors, read_settings

if TYPE_CHECKING:
    from isletnet.storage.store import Store

# Who did it, in the audit: whoever may use this machine's command line on the store.
ACTOR = "command-line"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
keys = typer.Typer(help="Keys of programs and people: make, list, revoke.", no_args_is_help=True)
store = typer.Typer(help="The store of the service.", no_args_is_help=True)
app.add_typer(keys, name="keys")
app.add_typer(store, name="store")


@contextmanager
def _service() -> Iterator[None]:
    """Say so where the service is not there: it is run from a checkout or a container, not from the wheel."""
    try:
        with plain_errors():
            yield
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(("serve", "ray", "psutil", "fastapi")):
            raise
        typer.echo(f"isletnet: {error.name} is not here; run the service from a checkout (make up)", err=True)
        raise typer.Exit(EXIT_FAILED) from error


def _open_store(*, must_exist: bool = True) -> Store:
    from isletnet.storage.store import open_store

    return open_store(read_settings().store, must_exist=must_exist)


@app.command()
def up() -> None:
    """Start the whole platform on this machine, and keep it alive until Ctrl-C or SIGTERM stops it.

    ISLETNET_* variables say where and how: ISLETNET_STORE, ISLETNET_PORT, ISLETNET_PAGES_PORT and others.
    """
    settings = read_settings()
    with _service():
        from serve.up import run

        raise typer.Exit(run(settings, say=typer.echo))


@app.command()
def verify(
    location: Annotated[
        str, typer.Argument(metavar="STORE", show_default=False, help="Folder of the store, or s3://bucket/prefix.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")] = False,
) -> None:
    """Check a store: nothing missing, damaged or left over, the audit's chain intact. Exit code 1 if something is."""
    from isletnet.storage.store import open_store
    from isletnet.storage.verify import report_json, report_text, verify

    with plain_errors():
        report = verify(open_store(location, must_exist=True))
    typer.echo(report_json(report) if as_json else report_text(report))
    if not report.is_clean:
        raise typer.Exit(EXIT_FAILED)


@keys.command("add")
def add_key(
    name: Annotated[str, typer.Argument(show_default=False, help="Whose key it is, such as ann or lab-robot.")],
    scopes: Annotated[str, typer.Option(help="One or more of submit, read, study, train, admin, with commas.")],
) -> None:
    """Make a key and show it, this once. From the first key on, calls without one are refused."""
    with _service():
        from serve.access.keys import add_key

        names = [scope.strip() for scope in scopes.split(",")]
        key, status = add_key(_open_store(must_exist=False), name, names, actor=ACTOR, now=datetime.now(UTC))
        typer.echo(key)
        typer.echo(
            f"This is the key {status.key_id} of {status.name}; it is not shown again. Send it as "
            "'Authorization: Bearer <key>'.",
            err=True,
        )


@keys.command("list")
def list_keys(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> None:
    """List all keys, also those that were revoked."""
    with _service():
        from serve.access.keys import list_keys

        found = list_keys(_open_store())
        if as_json:
            told = [
                {
                    "key_id": key.key_id,
                    "name": key.name,
                    "scopes": key.scopes,
                    "created_utc": key.created_utc.isoformat(),
                    "created_by": key.created_by,
                    "revoked_utc": key.revoked_utc and key.revoked_utc.isoformat(),
                }
                for key in found
            ]
            typer.echo(json.dumps(told, indent=1))
            return
        if not found:
            typer.echo("There are no keys yet.", err=True)
        for key in found:
            ended = f"  revoked {key.revoked_utc:%Y-%m-%d}" if key.revoked_utc else ""
            typer.echo(f"{key.key_id}  {key.created_utc:%Y-%m-%d}  {key.name:20}  {','.join(key.scopes)}{ended}")


@keys.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(show_default=False, help="An id from `keys list`.")]) -> None:
    """End a key for good, within seconds."""
    with _service():
        from serve.access.keys import revoke_key

        status = revoke_key(_open_store(), key_id, actor=ACTOR, now=datetime.now(UTC))
        typer.echo(f"The key {status.key_id} of {status.name} is revoked.")


@store.command("confirm-clock")
def confirm_clock(
    admin: Annotated[str, typer.Argument(show_default=False, help="Name of the admin who looked at the clock.")],
) -> None:
    """Say that the clock of this machine is right, after it moved by more than a day or the service rested as long.

    Until then nothing is deleted by age.
    """
    with plain_errors():
        from isletnet.storage.retention import confirm_clock

        now = datetime.now(UTC)
        confirm_clock(_open_store(), admin=admin, now=now)
    typer.echo(f"Confirmed: it is {now:%Y-%m-%d %H:%M} UTC.")
