"""What both clients can say: one flow for each thing that is asked of the service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import quote

from isletnet.client import records
from isletnet.client.calls import Body, Call, Flow, Patience, Persistence, Work, ask, ask_json, json_body, once
from isletnet.client.errors import MissingError, ServiceError
from isletnet.client.fetch import fetch, fetch_all, file_path
from isletnet.client.send import OnProgress, Source, source
from isletnet.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Labels: TypeAlias = bytes | str | Path | NDArray[np.integer[Any]]

ALL = "all"


def checked_id(request_id: str) -> str:
    """Refuse what cannot be the id of a request before it becomes part of an address."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", request_id):
        raise ParameterError("expected the id of a request, as the service gave it", subject=request_id[:80])
    return request_id


def plain(patience: Patience, path: str) -> Flow[dict[str, Any]]:
    """Ask for JSON and hand it on as it is."""
    return (yield from ask_json(Call(method="GET", path=path), patience, dict))


def page(
    patience: Patience, *, limit: int, before: str | None, sample: str | None, state: str | None
) -> Flow[records.Page]:
    """List requests, newest first."""
    given = {"limit": limit, "before": before, "sample": sample, "state": state}
    query = {name: value for name, value in given.items() if value is not None}
    return (yield from ask_json(Call(method="GET", path="/api/requests", query=query), patience, records.page))


def networks(patience: Patience) -> Flow[tuple[Mapping[str, Any], ...]]:
    """Ask for the networks that a request may name."""
    call = Call(method="GET", path="/api/networks")
    return (yield from ask_json(call, patience, lambda data: tuple(data["networks"])))


def sample(patience: Patience, name: str) -> Flow[dict[str, Any]]:
    """Ask for the pooled numbers of a sample."""
    return (yield from plain(patience, f"/api/samples/{quote(name, safe='', errors='replace')}"))


def results(patience: Patience, request_id: str, version: int | None) -> Flow[records.Results]:
    """Ask for the numbers of a request."""
    call = Call(method="GET", path=f"/api/requests/{request_id}/results", query=_version(version))
    return (yield from ask_json(call, patience, records.results))


def islets(patience: Patience, request_id: str, version: int | None) -> Flow[pd.DataFrame]:
    """Ask for the islets of all images as a table."""
    call = Call(method="GET", path=file_path(request_id, "islets.csv"), query=_version(version))
    answer = yield from ask(call, patience)

    def read() -> pd.DataFrame:
        import pandas as pd

        return pd.read_csv(BytesIO(answer.content))

    table: pd.DataFrame = yield Work(read)
    return table


def download(
    patience: Patience, request_id: str, name: str, folder: Path, version: int | None, on_progress: OnProgress
) -> Flow[Path]:
    """Fetch one file, or all there are."""
    query = _version(version)
    if name == ALL:
        return (yield from fetch_all(patience, request_id, folder, query=query, on_progress=on_progress))
    path = file_path(request_id, name)
    return (yield from fetch(patience, path, folder / name, query=query, on_progress=on_progress))


def correct(
    patience: Patience,
    request_id: str,
    image: int,
    labels: Labels,
    kind: Literal["classes", "islets", "regions"],
    note: str,
) -> Flow[records.Corrected]:
    """Send corrected labels; the service takes the same labels twice in a row as one version."""
    content: Source = yield Work(lambda: label_file(labels))
    body = Body(chunks=content.chunks, size_bytes=content.size_bytes(), content_type="application/octet-stream")
    path = f"/api/requests/{request_id}/images/{image}/labels"
    query = {"kind": kind, "note": note}
    call = Call(method="PUT", path=path, query=query, body=body, silence_s=300.0)
    return (yield from ask_json(call, patience, records.corrected))


def consent(patience: Patience, request_id: str, image: int, granted: bool, text: str) -> Flow[None]:
    """Give an image for training, or withdraw it."""
    body = json_body({"granted": granted, "text": text})
    yield from ask(Call(method="PUT", path=f"/api/requests/{request_id}/images/{image}/training", body=body), patience)


def cancel(patience: Patience, request_id: str) -> Flow[None]:
    """Stop a request."""
    yield from ask(Call(method="POST", path=f"/api/requests/{request_id}/cancel"), patience)


def delete(patience: Patience, request_id: str, erase: bool) -> Flow[None]:
    """Delete a request."""
    query = {"erase": "true"} if erase else {}
    call = Call(method="DELETE", path=f"/api/requests/{request_id}", query=query)
    persistence, is_repeated = Persistence(patience), False
    while True:
        try:
            yield from once(call, patience)
            return
        except MissingError:
            # The first attempt did it, and only its answer was lost.
            if is_repeated:
                return
            raise
        except ServiceError as error:
            pause = persistence.pause(error)
        is_repeated = True
        yield pause


def _version(version: int | None) -> dict[str, str | int]:
    return {} if version is None else {"version": version}


def label_file(labels: Labels) -> Source:
    """Make a TIFF of an array; files go out as they are."""
    if isinstance(labels, bytes | str | Path):
        return source(labels)
    import numpy as np
    import tifffile

    array = np.asarray(labels)
    if array.ndim != 2 or array.dtype.kind not in "biu" or array.size == 0:
        raise ParameterError(f"expected labels as whole numbers (height, width), got {array.dtype} {array.shape}")
    if array.min() < 0:
        raise ParameterError(f"expected labels from 0 on, got {array.min()}")
    small = array.astype(np.uint8 if array.max() < 256 else np.uint16 if array.max() < 65_536 else np.int32)
    file = BytesIO()
    tifffile.imwrite(file, small, compression="zlib")
    return Source(name="labels.tif", content=file.getvalue())
