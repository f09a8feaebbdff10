"""What a sender does: submits, waits, compares results. Only the public API is used."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import tifffile
from numpy.typing import NDArray

from isletnet.synthetic.scene import make_scene

ENDED = frozenset({"done", "dead", "cancelled"})
PARAMETERS: Mapping[str, Any] = {"network": "islet-unet-small", "uncertainty": "none", "um_per_px": 2.0}
# What a result consists of; reports tell times, so they are left out.
COMPARED = ("labels.tif", "islets.tif", "islets.csv", "contours.geojson")
_AGAIN = {429, 500, 502, 503, 504, 507}


@cache
def picture(seed: int, height_px: int = 240, width_px: int = 320) -> bytes:
    """Draw a micrograph as the bytes of a TIFF."""
    return tiff(make_scene(seed, (height_px, width_px), 2.0).pixels)


def tiff(pixels: NDArray[np.uint8]) -> bytes:
    """Write pixels as a TIFF."""
    buffer = BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="rgb", compression="deflate")
    return buffer.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """An answer to a submission, and how long it took."""

    status: int
    request_id: str | None
    seconds: float
    content_type: str
    retry_after: str | None


class Sender:
    """A client that is as patient as a good one: it comes again where the service says so or is away."""

    def __init__(self, url: str, *, patience_s: float = 240.0) -> None:
        self.url = url
        self.patience_s = patience_s
        self._client = httpx.Client(timeout=65, limits=httpx.Limits(max_connections=64))

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def try_submit(
        self, pictures: Sequence[bytes], *, key: str | None = None, parameters: Mapping[str, Any] = PARAMETERS
    ) -> Submitted:
        """Submit once, in one call; raises ``httpx.HTTPError`` where no answer came."""
        import json

        files = [("images", (f"picture {n}.tif", content, "image/tiff")) for n, content in enumerate(pictures)]
        begun_s = time.monotonic()
        answer = self._client.post(
            f"{self.url}/requests",
            data={"parameters": json.dumps(dict(parameters))},
            files=files,
            headers={} if key is None else {"Idempotency-Key": key},
        )
        return Submitted(
            status=answer.status_code,
            request_id=answer.json().get("request_id") if answer.status_code == 202 else None,
            seconds=time.monotonic() - begun_s,
            content_type=answer.headers.get("content-type", ""),
            retry_after=answer.headers.get("retry-after"),
        )

    def submit(self, pictures: Sequence[bytes], *, key: str, parameters: Mapping[str, Any] = PARAMETERS) -> str:
        """Submit until it is accepted; the key keeps repeated calls from making a second request."""
        until_s = time.monotonic() + self.patience_s
        while True:
            try:
                answer = self.try_submit(pictures, key=key, parameters=parameters)
            except (httpx.HTTPError, ValueError):
                status = None
            else:
                if answer.request_id is not None:
                    return answer.request_id
                status = answer.status
            assert status is None or status in _AGAIN, status
            assert time.monotonic() < until_s, f"not accepted within {self.patience_s:g} s"
            time.sleep(0.5)

    def get(self, path: str, **query: Any) -> httpx.Response:
        """Ask until the service answers."""
        until_s = time.monotonic() + self.patience_s
        while True:
            try:
                answer = self._client.get(f"{self.url}/{path}", params=query)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code not in _AGAIN:
                return answer
            assert time.monotonic() < until_s, f"{path}: no answer within {self.patience_s:g} s"
            time.sleep(0.5)

    def status(self, request_id: str, *, wait_s: float = 0) -> dict[str, Any]:
        """Ask how a request is."""
        answer = self.get(f"requests/{request_id}", **({"wait": wait_s} if wait_s else {}))
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def wait(self, request_id: str) -> dict[str, Any]:
        """Wait until a request has ended."""
        until_s = time.monotonic() + self.patience_s
        while True:
            told = self.status(request_id, wait_s=20)
            if told["state"] in ENDED:
                return told
            assert time.monotonic() < until_s, f"{request_id} is still {told['state']}"

    def fingerprint(self, request_id: str, images: Iterable[int] = (0,)) -> str:
        """Hash what was measured."""
        digest = hashlib.sha256()
        for number in images:
            for name in COMPARED:
                answer = self.get(f"requests/{request_id}/images/{number}/{name}")
                assert answer.status_code == 200, (name, answer.text)
                digest.update(answer.content)
        return digest.hexdigest()
