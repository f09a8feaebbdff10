"""Consent, and handing each image out once."""

import hashlib
import io
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from isletnet.errors import ConflictError, GoneError, NotStoredError
from isletnet.storage import audit, training
from isletnet.storage.consent import consent_of, is_held, record_consent
from isletnet.storage.layout import new_request_id
from isletnet.storage.retention import RetentionPolicy, prune
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from tests.storage.actors import Clock, correct, draft, ended, finish
from tests.storage.store_contract import MemoryStore

FILES = {"labels.tif": b"L" * 700, "image.tif": b"P" * 512, "empty": b""}


def decide(store: MemoryStore, clock: Clock, request_id: str, *, granted: bool, text: str = "v1", image: int = 0):
    return record_consent(store, request_id, image, granted=granted, actor="ann", text=text, now=clock.now)


def given(store: MemoryStore, clock: Clock) -> str:
    request_id = ended(store, clock).request_id
    decide(store, clock, request_id, granted=True)
    training.add_copy(store, request_id, 0, FILES, now=clock.now)
    return request_id


def claim(store: MemoryStore, clock: Clock, actor: str = "trainer") -> training.Export:
    return training.claim_export(store, actor=actor, now=clock.now)


def confirm(store: MemoryStore, clock: Clock, export: training.Export) -> None:
    content = b"".join(training.stream_export(store, export))
    sha256 = hashlib.sha256(content).hexdigest()
    training.confirm_export(store, export, sha256=sha256, actor=export.actor, now=clock.now)


def test_consent_is_a_row_of_versions(store: MemoryStore, clock: Clock):
    request_id = ended(store, clock).request_id
    assert consent_of(store, request_id, 0) is None
    for granted, text in ((True, "v1"), (True, "v1"), (True, "v2"), (False, "v2"), (True, "v2")):
        decide(store, clock, request_id, granted=granted, text=text)
        assert is_held(store, request_id, 0) == granted
    consent = consent_of(store, request_id, 0)
    assert consent is not None
    assert (consent.version, consent.text, consent.actor) == (4, "v2", "ann")
    assert len(list(store.list_keys(f"training/{request_id}/0/consent"))) == 4
    assert not is_held(store, request_id, 1)


def test_a_corrected_image_is_handed_out_with_the_persons_labels(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    decide(store, clock, request.request_id, granted=True)
    assert training.copies_due(store) == ((request.request_id, 0, 0),)
    training.add_copy(store, request.request_id, 0, FILES, now=clock.now)
    assert training.copies_due(store) == ()
    first = claim(store, clock)
    content = b"".join(training.stream_export(store, first))
    # Another image's correction changes nothing here, and one without a result not yet.
    finish(store, correct(store, request, clock, image=1))
    correction = correct(store, request, clock, image=0)
    assert training.copies_due(store) == ()
    finish(store, correction)
    assert training.copies_due(store) == ((request.request_id, 0, 2),)
    corrected = FILES | {"labels.tif": b"drawn"}
    training.add_copy(store, request.request_id, 0, corrected, version=2, now=clock.now)
    assert training.copies_due(store) == ()
    # What is being downloaded stays as it is; the pixels are kept once.
    assert b"".join(training.stream_export(store, first)) == content
    assert claim(store, clock) == first
    assert len(list(store.list_keys(f"training/{request.request_id}/0/files"))) == 4
    confirm(store, clock, first)
    second = claim(store, clock)
    assert [(item.image, item.version) for item in second.items] == [(0, 2)]
    confirm(store, clock, second)
    with pytest.raises(GoneError):
        claim(store, clock)
    sweep(store, now=clock.now)
    assert verify(store).is_clean


def test_an_image_that_was_corrected_first_goes_out_once(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    finish(store, correct(store, request, clock, image=0))
    decide(store, clock, request.request_id, granted=True)
    assert training.copies_due(store) == ((request.request_id, 0, 1),)
    # Somebody who came late with the network's labels does not displace the person's.
    for version in (1, 0):
        training.add_copy(store, request.request_id, 0, FILES, version=version, now=clock.now)
    assert [item.version for item in claim(store, clock).items] == [1]


def test_no_copy_is_due_of_what_is_not_given_or_not_done(store: MemoryStore, clock: Clock):
    request_id = draft(store, clock)
    decide(store, clock, request_id, granted=True)
    request = ended(store, clock)
    decide(store, clock, request.request_id, granted=True, image=1)
    decide(store, clock, request.request_id, granted=False, image=1)
    assert training.copies_due(store) == ()


def test_many_decisions_at_once_are_all_kept_in_a_row(store: MemoryStore, clock: Clock):
    request_id = ended(store, clock).request_id
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: decide(store, clock, request_id, granted=True, text=f"v{n}"), range(20)))
    versions = [key[-11:-5] for key in store.list_keys(f"training/{request_id}/0/consent")]
    assert versions == [f"{number:06d}" for number in range(1, 21)]


def test_consent_needs_an_image(store: MemoryStore, clock: Clock):
    for request_id, image in ((new_request_id(), 0), (ended(store, clock).request_id, 7)):
        with pytest.raises(NotStoredError, match="there is no image"):
            decide(store, clock, request_id, granted=True, image=image)
    with pytest.raises(NotStoredError, match="was not given"):
        decide(store, clock, ended(store, clock).request_id, granted=False)
    decide(store, clock, draft(store, clock), granted=True)


def test_without_consent_there_is_no_copy(store: MemoryStore, clock: Clock):
    request_id = ended(store, clock).request_id
    with pytest.raises(ConflictError, match="not given"):
        training.add_copy(store, request_id, 0, FILES, now=clock.now)
    decide(store, clock, request_id, granted=True)
    copy = training.add_copy(store, request_id, 0, FILES, now=clock.now)
    assert [file.path for file in copy.files] == ["empty", "image.tif", "labels.tif"]
    assert training.add_copy(store, request_id, 0, FILES, now=clock.now) == copy
    with pytest.raises(ConflictError, match="another training copy"):
        training.add_copy(store, request_id, 0, {"image.tif": b"other"}, now=clock.now)


def test_the_export_is_a_tar_of_the_copies(store: MemoryStore, clock: Clock):
    ids = sorted(given(store, clock) for _ in range(2))
    export = claim(store, clock)
    content = b"".join(training.stream_export(store, export))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
    assert found == {f"{request_id}-0/{name}": data for request_id in ids for name, data in FILES.items()}
    assert content == b"".join(training.stream_export(store, export))


@pytest.mark.parametrize("start", [0, 1, 511, 512, 513, 1000, 1023, 1024, 1536, 2300, 2559, 2560, 3583, 3584, 99_999])
def test_a_download_is_resumed_at_any_byte(store: MemoryStore, clock: Clock, start: int):
    given(store, clock)
    export = claim(store, clock)
    content = b"".join(training.stream_export(store, export))
    assert b"".join(training.stream_export(store, export, start=start)) == content[start:]


def test_of_many_who_claim_one_gets_it(store: MemoryStore, clock: Clock):
    for _ in range(3):
        given(store, clock)

    def try_to_claim(number: int) -> training.Export | None:
        try:
            return claim(store, clock, f"trainer {number}")
        except ConflictError:
            return None

    with ThreadPoolExecutor(16) as pool:
        got = [export for export in pool.map(try_to_claim, range(16)) if export is not None]
    assert len(got) == 1
    assert len(got[0].items) == 3
    # The one who has it goes on with it, as often as needed.
    assert claim(store, clock, got[0].actor) == got[0]
    with pytest.raises(ConflictError, match="somebody else is downloading .*export 1"):
        claim(store, clock, "late")


def test_what_was_confirmed_is_gone_and_the_images_stay(store: MemoryStore, clock: Clock):
    with pytest.raises(NotStoredError, match="no image is given"):
        claim(store, clock)
    request_id = given(store, clock)
    export = claim(store, clock)
    with pytest.raises(ConflictError, match="not that of the export"):
        training.confirm_export(store, export, sha256="0" * 64, actor="trainer", now=clock.now)
    assert claim(store, clock) == export
    sha256 = hashlib.sha256(b"".join(training.stream_export(store, export))).hexdigest()
    for _ in range(2):
        training.confirm_export(store, export, sha256=sha256, actor="trainer", now=clock.now)
    with pytest.raises(GoneError, match="handed out already"):
        claim(store, clock)
    with pytest.raises(GoneError):
        list(training.stream_export(store, export))
    assert store.exists(f"training/{request_id}/0/files/{hashlib.sha256(FILES['image.tif']).hexdigest()}")
    (entry,) = audit.entries(store)
    assert (entry.kind, entry.actor) == ("training-export", "trainer")
    assert entry.details == {"images_n": 1, "sha256": sha256}
    sweep(store, now=clock.now)
    assert verify(store).is_clean


def test_later_images_come_in_later_exports(store: MemoryStore, clock: Clock):
    first = given(store, clock)
    confirm(store, clock, claim(store, clock))
    second = given(store, clock)
    export = claim(store, clock)
    assert [item.request_id for item in export.items] == [second]
    assert export.number == 2
    assert first != second


def test_consent_withdrawn_during_a_download_takes_the_image_out(store: MemoryStore, clock: Clock):
    ids = [given(store, clock) for _ in range(2)]
    export = claim(store, clock)
    decide(store, clock, ids[0], granted=False)
    with pytest.raises(ConflictError, match="was withdrawn; claim again"):
        list(training.stream_export(store, export))
    again = claim(store, clock)
    assert [item.request_id for item in again.items] == [ids[1]]
    confirm(store, clock, again)
    with pytest.raises(GoneError):
        training.confirm_export(store, export, sha256="0" * 64, actor="trainer", now=clock.now)
    prune(store, RetentionPolicy(), actor="pruner", now=clock.now)
    assert not list(store.list_keys(f"training/{ids[0]}/0/files"))
    sweep(store, now=clock.now)
    assert verify(store).is_clean


def test_an_export_that_is_confirmed_at_this_moment_is_not_handed_out_again(
    store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    ids = [given(store, clock) for _ in range(2)]
    export = claim(store, clock)
    sha256 = hashlib.sha256(b"".join(training.stream_export(store, export))).hexdigest()
    decide(store, clock, ids[0], granted=False)
    close = training._close

    def confirmed_just_before(*arguments: object) -> training.ExportEnd:
        close(store, export, training.ExportEnd(utc=clock.now, actor="trainer", sha256=sha256))
        return close(*arguments)

    monkeypatch.setattr(training, "_close", confirmed_just_before)
    with pytest.raises(GoneError, match="handed out already"):
        claim(store, clock)


def test_an_export_that_was_given_up_is_free_again(store: MemoryStore, clock: Clock):
    given(store, clock)
    export = claim(store, clock)
    training.give_up_export(store, export, actor="Dr. Who", now=clock.now)
    again = claim(store, clock, "other")
    assert (again.number, again.items) == (2, export.items)
    with pytest.raises(GoneError):
        list(training.stream_export(store, export))


def test_what_was_confirmed_cannot_be_given_up(store: MemoryStore, clock: Clock):
    given(store, clock)
    export = claim(store, clock)
    confirm(store, clock, export)
    with pytest.raises(ConflictError, match="was confirmed"):
        training.give_up_export(store, export, actor="Dr. Who", now=clock.now)
    with pytest.raises(GoneError):
        claim(store, clock)


def test_an_export_that_is_given_up_while_it_is_confirmed_is_not_confirmed(
    store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    given(store, clock)
    export = claim(store, clock)

    def noted_late(*arguments: object, **named: object) -> None:
        training.give_up_export(store, export, actor="Dr. Who", now=clock.now)

    monkeypatch.setattr(training.audit, "append", noted_late)
    with pytest.raises(GoneError, match="given up"):
        confirm(store, clock, export)
    assert claim(store, clock).items == export.items
