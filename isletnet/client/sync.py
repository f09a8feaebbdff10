"""The client for scripts and notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from isletnet.client import admin, export, follow, records, send, talk
from isletnet.client.calls import Patience
from isletnet.client.send import Image, OnProgress, unheard
from isletnet.client.transport import SyncTransport

if TYPE_CHECKING:
    import pandas as pd

    from isletnet.client.talk import Labels

PATIENCE_S = 180.0


class Client:
    """Speaks with isletnet's service.

    Every method raises a `ServiceError` with the service's code and sentence. Where the line breaks or the service
    says "later", it asks again, with growing pauses or those that the service names.

    Parameters
    ----------
    url
        Where the service is.
    key
        The key that the service's administrator gave; none is needed on the same machine while it has no keys.
    patience_s
        How long to pause in all for one thing before giving up, in seconds.
    headers
        Sent with every call; for programs that stand behind a proxy which signs people in.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        *,
        patience_s: float = PATIENCE_S,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._transport = SyncTransport(url, key, headers)
        self._patience = Patience(patience_s)

    def analyse(
        self, image: Image, parameters: Mapping[str, Any] | None = None, *, name: str | None = None
    ) -> records.Analysed:
        """Have one image analysed at once; nothing of it is kept.

        Parameters
        ----------
        image
            A path, a file's bytes, or ``(name, bytes)``.
        parameters
            As in `submit`.
        name
            Name to show, for bytes.
        """
        return self._transport.run(send.analyse(self._patience, image, parameters or {}, name))

    def submit(
        self,
        images: Sequence[Image],
        parameters: Mapping[str, Any] | None = None,
        *,
        per_image: Mapping[int, Mapping[str, Any]] | None = None,
        idempotency_key: str | None = None,
        on_progress: OnProgress = unheard,
    ) -> Request:
        """Send images as one request. When this returns, the service has them safe.

        Parameters
        ----------
        images
            Paths, files' bytes, or pairs ``(name, bytes)``.
        parameters
            What holds for all images, by the names of the service's ``RequestParameters``: ``network``,
            ``um_per_px``, ``sample_name``, ``sample_volume_ul``, ``mail_to`` and so on.
        per_image
            What holds for single images instead, by their place in ``images``, from 0.
        idempotency_key
            Your own name for this request. Submitting again with the same one goes on where a stopped script was:
            what has arrived is not sent again, and no second request is made.
        on_progress
            Hears of the bytes that are on their way.
        """
        flow = send.submit(self._patience, images, parameters or {}, per_image or {}, idempotency_key, on_progress)
        return Request(self._transport, self._patience, self._transport.run(flow))

    def request(self, request_id: str) -> Request:
        """Open a request again, by its id."""
        flow = send.look(self._patience, talk.checked_id(request_id))
        return Request(self._transport, self._patience, self._transport.run(flow))

    def requests(
        self,
        *,
        limit: int = 50,
        before: str | None = None,
        sample: str | None = None,
        state: records.State | None = None,
    ) -> records.Page:
        """List your requests, newest first; ``before`` is the ``next`` of the page before."""
        flow = talk.page(self._patience, limit=limit, before=before, sample=sample, state=state)
        return self._transport.run(flow)

    def sample(self, name: str) -> Mapping[str, Any]:
        """Pool all your images of a sample, over requests: ``requests`` and ``summary``."""
        return self._transport.run(talk.sample(self._patience, name))

    def networks(self) -> tuple[Mapping[str, Any], ...]:
        """Ask for the networks that answer, with their figures."""
        return self._transport.run(talk.networks(self._patience))

    def session(self) -> Mapping[str, Any]:
        """Ask who this is to the service: ``name``, ``scopes``, and ``csrf`` for those that a proxy signed in."""
        return self._transport.run(talk.plain(self._patience, "/api/session"))

    def status(self) -> Mapping[str, Any]:
        """Ask how the service's parts are; for administrators, or on its own machine."""
        return self._transport.run(talk.plain(self._patience, "/api/status"))

    def statistics(self, first: date | None = None, last: date | None = None) -> Mapping[str, Any]:
        """Ask who used what, from the first day to the last; for administrators."""
        return self._transport.run(admin.statistics(self._patience, first, last))

    def statistics_workbook(
        self,
        path: str | Path,
        first: date | None = None,
        last: date | None = None,
        *,
        on_progress: OnProgress = unheard,
    ) -> Path:
        """Fetch the statistics as an Excel workbook with charts; for administrators."""
        flow = admin.statistics_workbook(self._patience, Path(path), first, last, on_progress)
        return self._transport.run(flow)

    def training_export(self, path: str | Path, *, on_progress: OnProgress = unheard) -> Path:
        """Fetch all images that were given for training, as a tar file. The service hands each out once.

        Where it was stopped it goes on when it is called again with the same ``path``. The hash of what arrived is
        confirmed at the end; only then the service counts the images as handed out.
        """
        return self._transport.run(export.training_export(self._patience, Path(path), on_progress=on_progress))

    def give_up_training_export(self, path_or_number: str | Path | int) -> None:
        """Give up an export that will not be fetched to its end, so that its images can be handed out again.

        It is told by the path that `training_export` had or, where somebody else left it open, by its number.
        """
        self._transport.run(export.give_up(self._patience, path_or_number))

    def keys(self) -> tuple[records.Key, ...]:
        """List all keys to the service, the oldest first; for administrators."""
        return self._transport.run(admin.keys(self._patience))

    def make_key(self, name: str, scopes: Iterable[str]) -> records.NewKey:
        """Make a key for a person or a program; for administrators.

        This is asked once only: if no answer came, look for the key in `keys`, revoke it, and make another.
        """
        return self._transport.run(admin.make_key(self._patience, name, scopes))

    def revoke_key(self, key_id: str) -> records.Key:
        """End a key for good; for administrators."""
        return self._transport.run(admin.revoke_key(self._patience, key_id))

    def prune(self, *, dry_run: bool = True) -> Mapping[str, Any]:
        """Tell what is too old to be kept or, with ``dry_run=False``, delete it; for administrators."""
        return self._transport.run(admin.prune(self._patience, dry_run))

    def confirm_clock(self) -> None:
        """Say that the service's clock is right after a jump, so that pruning goes on; for administrators."""
        self._transport.run(admin.confirm_clock(self._patience))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Request:
    """A request at the service. In a notebook it shows how far it was when that was asked last."""

    def __init__(self, transport: SyncTransport, patience: Patience, status: records.Status) -> None:
        self._transport = transport
        self._patience = patience
        self.status = status

    @property
    def id(self) -> str:
        """Its id, with which `Client.request` opens it again."""
        return self.status.request_id

    def refresh(self) -> records.Status:
        """Ask how far it is."""
        self.status = self._transport.run(send.look(self._patience, self.id))
        return self.status

    def wait(self, on_progress: OnProgress = unheard) -> records.Status:
        """Wait until it has ended; ``status.state`` says how."""
        self.status = self._transport.run(follow.wait(self._patience, self.id, on_progress))
        return self.status

    def results(self, *, version: int | None = None) -> records.Results:
        """Ask for its numbers: the last version, or a certain one."""
        return self._transport.run(talk.results(self._patience, self.id, version))

    def islets(self, *, version: int | None = None) -> pd.DataFrame:
        """Ask for a table with one row per islet of all its images."""
        return self._transport.run(talk.islets(self._patience, self.id, version))

    def download(
        self, name: str, folder: str | Path, *, version: int | None = None, on_progress: OnProgress = unheard
    ) -> Path:
        """Fetch a file into a folder; it is there whole, or not at all.

        Parameters
        ----------
        name
            ``report.pdf``, ``results.xlsx``, ``islets.csv``, ``summary.csv``, ``archive.zip``,
            ``images/<k>/overlay.png`` and so on; ``all`` fetches everything.
        folder
            Where to; it is made if need be.
        version
            A certain version; without it the last.
        on_progress
            Hears of the bytes that have come.

        Returns
        -------
        Path
            The file, or the folder for ``all``.
        """
        flow = talk.download(self._patience, self.id, name, Path(folder), version, on_progress)
        return self._transport.run(flow)

    def correct(
        self, image: int, labels: Labels, *, kind: Literal["classes", "islets", "regions"] = "classes", note: str = ""
    ) -> records.Corrected:
        """Replace what the network found in an image by what a person sees; both versions stay.

        Parameters
        ----------
        image
            Its number.
        labels
            An array (height, width) of the image's size, or a TIFF or PNG of it as path or bytes.
        kind
            ``classes``: 0 background, 1 islet, 2 exocrine. ``islets``: the number of the islet of each pixel.
            ``regions``: 0 background, 1 exocrine, from 2 on the number of the islet.
        note
            Why, for the history.
        """
        return self._transport.run(talk.correct(self._patience, self.id, image, labels, kind, note))

    def consent(self, image: int, *, granted: bool, text: str = "") -> None:
        """Give an image for training, or withdraw it; ``text`` is the wording that was agreed to."""
        self._transport.run(talk.consent(self._patience, self.id, image, granted, text))

    def cancel(self) -> records.Status:
        """Stop it."""
        self._transport.run(talk.cancel(self._patience, self.id))
        return self.refresh()

    def requeue(self) -> Request:
        """Submit it again as a new request of the same owner, after it died; for administrators."""
        return Request(self._transport, self._patience, self._transport.run(admin.requeue(self._patience, self.id)))

    def delete(self, *, erase: bool = False) -> None:
        """Delete it with its images; ``erase`` also what was given for training, which only administrators may."""
        self._transport.run(talk.delete(self._patience, self.id, erase))

    def __repr__(self) -> str:
        return f"Request({self.id!r}, {self.status.state}, {self.status.progress_fraction:.0%})"

    def _repr_html_(self) -> str:
        return records.html(self.status)
