"""People, workers and clocks for the tests of storage."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from isletnet.storage import corrections, leases, records
from isletnet.storage.layout import ImageOutcome, Outcome, Request, new_request_id
from isletnet.storage.leases import Dispatcher, Lease
from isletnet.storage.store import Store
from isletnet.storage.versions import Correction, files_before, labels_key, unfinished

MORNING = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
PICTURES = (b"first picture", b"second picture")


@dataclass
class Clock:
    """A wall clock and a monotonic one that move when they are told to."""

    now: datetime = MORNING
    monotonic_s: float = 1000.0

    def monotonic(self) -> float:
        return self.monotonic_s

    def pass_s(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.now += timedelta(seconds=seconds)

    def pass_days(self, days: float) -> None:
        self.pass_s(days * 86_400)


def draft(store: Store, clock: Clock, *, request_id: str | None = None, pictures: tuple[bytes, ...] = PICTURES) -> str:
    request_id = request_id or new_request_id()
    records.open_draft(store, request_id, owner="ann", now=clock.now)
    for number, content in enumerate(pictures):
        records.add_image(store, request_id, number, [content], name=f"islets {number}.tif", now=clock.now)
    return request_id


def submit(store: Store, clock: Clock, *, mail_to: str | None = None, request_id: str | None = None) -> Request:
    request_id = draft(store, clock, request_id=request_id)
    return records.submit(store, request_id, now=clock.now, parameters={"network": "islet-unet"}, mail_to=mail_to)


def dispatcher(store: Store, clock: Clock, name: str = "worker") -> Dispatcher:
    return Dispatcher(store, name, monotonic=clock.monotonic)


def taken(store: Store, clock: Clock, name: str = "worker") -> Lease:
    """Let a fresh worker take the oldest request."""
    lease = dispatcher(store, clock, name).take(now=clock.now)
    assert lease is not None
    return lease


def work(store: Store, lease: Lease, clock: Clock) -> Outcome:
    """Do the whole of the work on a request."""
    files = []
    for image in lease.request.images:
        lease = leases.beat(store, lease, now=clock.now, progress={"images_done_n": image.number})
        path = f"images/{image.number}/labels.tif"
        files.append(leases.write_file(store, lease, path, [b"labels of ", image.sha256.encode()]))
    files.append(leases.write_file(store, lease, "report.pdf", [b"report by ", str(lease.attempt).encode()]))
    images = [ImageOutcome(number=image.number, state="done") for image in lease.request.images]
    return leases.finish(store, lease, files=files, images=images, now=clock.now)


def correct(store: Store, request: Request, clock: Clock, *, image: int = 0, labels: bytes = b"drawn") -> Correction:
    """Send labels of an image, whose results nobody computes yet."""
    return corrections.add_correction(
        store, request.request_id, image, labels, kind="classes", actor="ann", note="a rim", now=clock.now
    )


def finish(store: Store, correction: Correction) -> None:
    """Do the whole of the work on a correction: from the labels, and from the files of the version before."""
    before, _ = files_before(store, correction)["report.pdf"]
    outputs = {
        f"images/{correction.image}/labels.tif": b"cleaned " + store.read(labels_key(correction)),
        "report.pdf": store.read(before) + b" and " + store.read(labels_key(correction)),
    }
    files = [corrections.write_correction_file(store, correction, path, [data]) for path, data in outputs.items()]
    corrections.finish_correction(store, correction, files=files)


def died(store: Store, clock: Clock) -> Request:
    """Submit a request that dies."""
    request = submit(store, clock, mail_to="ann@clinic.example")
    lease = taken(store, clock)
    leases.give_up(store, lease, code="worker_lost", message="It broke off.", now=clock.now, final=True)
    return request


def work_through(store: Store, clock: Clock) -> None:
    """Let a fresh worker do all there is, waiting as long as it must."""
    for correction in unfinished(store):
        finish(store, correction)
    worker = dispatcher(store, clock, "restarted")
    for _ in range(12):
        while (lease := worker.take(now=clock.now)) is not None:
            work(store, lease, clock)
        clock.pass_s(60)


def ended(store: Store, clock: Clock, *, mail_to: str | None = None, request_id: str | None = None) -> Request:
    """Submit a request and do it."""
    request = submit(store, clock, mail_to=mail_to, request_id=request_id)
    lease = taken(store, clock)
    assert lease.request == request
    work(store, lease, clock)
    return request
