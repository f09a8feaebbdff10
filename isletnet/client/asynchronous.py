"""The client for programs that do many things at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from isletnet.client import admin, export, follow, records, send, talk
from isletnet.client.calls import Patience
from isletnet.client.send import Image, OnProgress, unheard
from isletnet.client.sync import PATIENCE_S
from isletnet.client.transport import AsyncTransport

if TYPE_CHECKING:
    import pandas as pd

    from isletnet.client.talk import Labels


class AsyncClient:
    """`Client` with methods to ``await``: same arguments, same answers, same errors."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        *,
        patience_s: float = PATIENCE_S,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._transport = AsyncTransport(url, key, headers)
        self._patience = Patience(patience_s)

    async def analyse(
        self, image: Image, parameters: Mapping[str, Any] | None = None, *, name: str | None = None
    ) -> records.Analysed:
        """As `Client.analyse`."""
        return await self._transport.run(send.analyse(self._patience, image, parameters or {}, name))

    async def submit(
        self,
        images: Sequence[Image],
        parameters: Mapping[str, Any] | None = None,
        *,
        per_image: Mapping[int, Mapping[str, Any]] | None = None,
        idempotency_key: str | None = None,
        on_progress: OnProgress = unheard,
    ) -> AsyncRequest:
        """As `Client.submit`."""
        flow = send.submit(self._patience, images, parameters or {}, per_image or {}, idempotency_key, on_progress)
        return AsyncRequest(self._transport, self._patience, await self._transport.run(flow))

    async def request(self, request_id: str) -> AsyncRequest:
        """As `Client.request`."""
        flow = send.look(self._patience, talk.checked_id(request_id))
        return AsyncRequest(self._transport, self._patience, await self._transport.run(flow))

    async def requests(
        self,
        *,
        limit: int = 50,
        before: str | None = None,
        sample: str | None = None,
        state: records.State | None = None,
    ) -> records.Page:
        """As `Client.requests`."""
        flow = talk.page(self._patience, limit=limit, before=before, sample=sample, state=state)
        return await self._transport.run(flow)

    async def sample(self, name: str) -> Mapping[str, Any]:
        """As `Client.sample`."""
        return await self._transport.run(talk.sample(self._patience, name))

    async def networks(self) -> tuple[Mapping[str, Any], ...]:
        """As `Client.networks`."""
        return await self._transport.run(talk.networks(self._patience))

    async def session(self) -> Mapping[str, Any]:
        """As `Client.session`."""
        return await self._transport.run(talk.plain(self._patience, "/api/session"))

    async def status(self) -> Mapping[str, Any]:
        """As `Client.status`."""
        return await self._transport.run(talk.plain(self._patience, "/api/status"))

    async def statistics(self, first: date | None = None, last: date | None = None) -> Mapping[str, Any]:
        """As `Client.statistics`."""
        return await self._transport.run(admin.statistics(self._patience, first, last))

    async def statistics_workbook(
        self,
        path: str | Path,
        first: date | None = None,
        last: date | None = None,
        *,
        on_progress: OnProgress = unheard,
    ) -> Path:
        """As `Client.statistics_workbook`."""
        flow = admin.statistics_workbook(self._patience, Path(path), first, last, on_progress)
        return await self._transport.run(flow)

    async def training_export(self, path: str | Path, *, on_progress: OnProgress = unheard) -> Path:
        """As `Client.training_export`."""
        return await self._transport.run(export.training_export(self._patience, Path(path), on_progress=on_progress))

    async def give_up_training_export(self, path_or_number: str | Path | int) -> None:
        """As `Client.give_up_training_export`."""
        await self._transport.run(export.give_up(self._patience, path_or_number))

    async def keys(self) -> tuple[records.Key, ...]:
        """As `Client.keys`."""
        return await self._transport.run(admin.keys(self._patience))

    async def make_key(self, name: str, scopes: Iterable[str]) -> records.NewKey:
        """As `Client.make_key`."""
        return await self._transport.run(admin.make_key(self._patience, name, scopes))

    async def revoke_key(self, key_id: str) -> records.Key:
        """As `Client.revoke_key`."""
        return await self._transport.run(admin.revoke_key(self._patience, key_id))

    async def prune(self, *, dry_run: bool = True) -> Mapping[str, Any]:
        """As `Client.prune`."""
        return await self._transport.run(admin.prune(self._patience, dry_run))

    async def confirm_clock(self) -> None:
        """As `Client.confirm_clock`."""
        await self._transport.run(admin.confirm_clock(self._patience))

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


class AsyncRequest:
    """`Request` with methods to ``await``."""

    def __init__(self, transport: AsyncTransport, patience: Patience, status: records.Status) -> None:
        self._transport = transport
        self._patience = patience
        self.status = status

    @property
    def id(self) -> str:
        """Its id, with which `Client.request` opens it again."""
        return self.status.request_id

    async def refresh(self) -> records.Status:
        """As `Request.refresh`."""
        self.status = await self._transport.run(send.look(self._patience, self.id))
        return self.status

    async def wait(self, on_progress: OnProgress = unheard) -> records.Status:
        """As `Request.wait`."""
        self.status = await self._transport.run(follow.wait(self._patience, self.id, on_progress))
        return self.status

    async def results(self, *, version: int | None = None) -> records.Results:
        """As `Request.results`."""
        return await self._transport.run(talk.results(self._patience, self.id, version))

    async def islets(self, *, version: int | None = None) -> pd.DataFrame:
        """As `Request.islets`."""
        return await self._transport.run(talk.islets(self._patience, self.id, version))

    async def download(
        self, name: str, folder: str | Path, *, version: int | None = None, on_progress: OnProgress = unheard
    ) -> Path:
        """As `Request.download`."""
        flow = talk.download(self._patience, self.id, name, Path(folder), version, on_progress)
        return await self._transport.run(flow)

    async def correct(
        self, image: int, labels: Labels, *, kind: Literal["classes", "islets", "regions"] = "classes", note: str = ""
    ) -> records.Corrected:
        """As `Request.correct`."""
        return await self._transport.run(talk.correct(self._patience, self.id, image, labels, kind, note))

    async def consent(self, image: int, *, granted: bool, text: str = "") -> None:
        """As `Request.consent`."""
        await self._transport.run(talk.consent(self._patience, self.id, image, granted, text))

    async def cancel(self) -> records.Status:
        """As `Request.cancel`."""
        await self._transport.run(talk.cancel(self._patience, self.id))
        return await self.refresh()

    async def requeue(self) -> AsyncRequest:
        """As `Request.requeue`."""
        status = await self._transport.run(admin.requeue(self._patience, self.id))
        return AsyncRequest(self._transport, self._patience, status)

    async def delete(self, *, erase: bool = False) -> None:
        """As `Request.delete`."""
        await self._transport.run(talk.delete(self._patience, self.id, erase))

    def __repr__(self) -> str:
        return f"AsyncRequest({self.id!r}, {self.status.state}, {self.status.progress_fraction:.0%})"

    def _repr_html_(self) -> str:
        return records.html(self.status)
