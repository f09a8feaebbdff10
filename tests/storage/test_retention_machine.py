"""Random lives of a store, with deaths, against a model: held is never deleted, overdue is never kept."""

import hashlib
from datetime import timedelta
from typing import Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from isletnet.errors import ConflictError, NotStoredError, StorageError
from isletnet.storage import audit, consent, corrections, retention
from isletnet.storage.jobs import state_of
from isletnet.storage.layout import REQUESTS, image_key
from isletnet.storage.retention import RetentionPolicy
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from isletnet.storage.versions import labels_key, unfinished, versions_of
from tests.storage.actors import PICTURES, Clock, draft, ended, finish
from tests.storage.crash import Crash, CrashStore
from tests.storage.store_contract import MemoryStore

POLICY = RetentionPolicy(images_days=2, results_days=3, drafts_days=1)
IMAGES = st.sampled_from([0, 1])
DEATHS = st.none() | st.tuples(st.integers(1, 90), st.sampled_from(["before", "after"]))


class Retention(RuleBasedStateMachine):
    """What people, pruner and sweeper do, in any order."""

    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.clock = Clock()
        # Model: images given (by request), and those that somebody asked to be gone.
        self.given: set[tuple[str, int]] = set()
        # Images that were corrected while they were given.
        self.corrected: set[tuple[str, int]] = set()
        self.ended_at: dict[str, float] = {}
        self.dropped: set[str] = set()
        self.ids_n = 0

    def next_id(self) -> str:
        """Make an id that is the same each time this life is lived, and sorts anywhere."""
        self.ids_n += 1
        return hashlib.sha256(b"%d" % self.ids_n).hexdigest()[:32]

    @rule(target=requests)
    def somebody_sends_and_gets(self) -> str:
        request_id = ended(self.store, self.clock, request_id=self.next_id()).request_id
        self.ended_at[request_id] = self.clock.monotonic_s
        return request_id

    @rule()
    def somebody_opens_a_draft(self) -> None:
        draft(self.store, self.clock, request_id=self.next_id())

    @rule(request=requests, image=IMAGES)
    def somebody_gives(self, request: str, image: int) -> None:
        try:
            consent.record_consent(self.store, request, image, granted=True, actor="ann", text="v1", now=self.clock.now)
        except NotStoredError:
            assert (request, image) not in self.given
        except ConflictError:
            # A deletion is under way since a pruner died. What was given before stays given.
            assert list(self.store.list_keys("intents"))
        else:
            self.given.add((request, image))

    @rule(request=requests, image=IMAGES)
    def somebody_takes_back(self, request: str, image: int) -> None:
        self.given.discard((request, image))
        self.corrected.discard((request, image))
        try:
            consent.record_consent(
                self.store, request, image, granted=False, actor="ann", text="v1", now=self.clock.now
            )
        except NotStoredError:
            pass

    @rule(request=requests, image=IMAGES, does_finish=st.booleans())
    def somebody_corrects(self, request: str, image: int, does_finish: bool) -> None:
        try:
            correction = corrections.add_correction(
                self.store, request, image, b"drawn", kind="classes", actor="ann", note="", now=self.clock.now
            )
            if does_finish:
                for earlier in unfinished(self.store):
                    finish(self.store, earlier)
        except StorageError:
            # The picture or its results were deleted, or a pruner died half way.
            return
        if (request, image) in self.given and correction in versions_of(self.store, request):
            self.corrected.add((request, image))

    @rule(hours=st.integers(1, 23), times=st.integers(1, 4))
    def time_passes(self, hours: int, times: int) -> None:
        for _ in range(times):
            self.clock.pass_s(3600 * hours)
            retention.check_clock(self.store, now=self.clock.now)

    @rule(death=DEATHS)
    def the_pruner_comes(self, death: tuple[int, Literal["before", "after"]] | None) -> None:
        store = self.store if death is None else CrashStore(self.store, *death)
        try:
            retention.prune(store, POLICY, actor="pruner", now=self.clock.now)
        except Crash:
            return
        self.nothing_overdue_is_kept()

    @rule(days=st.sampled_from([-30, -2, 2, 30]))
    def a_pruner_with_a_wrong_clock_comes(self, days: int) -> None:
        before = set(self.store.list_keys())
        if next(self.store.list_keys("clock"), None) is not None:
            with pytest.raises(retention.ClockError):
                retention.prune(self.store, POLICY, actor="pruner", now=self.clock.now + timedelta(days=days))
        assert set(self.store.list_keys()) == before

    @rule(request=consumes(requests))
    def somebody_has_a_right_to_erasure(self, request: str) -> None:
        self.given -= {(request, image) for image in (0, 1)}
        self.corrected -= {(request, image) for image in (0, 1)}
        self.dropped.add(request)
        try:
            retention.erase(self.store, request, admin="Dr. Who", now=self.clock.now)
        except NotStoredError:
            assert state_of(self.store, request) == "deleted"

    @rule(target=requests, request=consumes(requests))
    def somebody_deletes(self, request: str) -> object:
        try:
            retention.delete_request(self.store, request, actor="ann", now=self.clock.now)
        except ConflictError:
            return request
        except NotStoredError:
            assert state_of(self.store, request) == "deleted"
        assert not any((request, image) in self.given for image in (0, 1))
        self.dropped.add(request)
        return multiple()

    @invariant()
    def what_is_given_is_there(self) -> None:
        for request, image in self.given:
            assert self.store.read(image_key(request, image)) == PICTURES[image]
            assert self.store.exists(f"requests/{request}/attempts/1/files/images/{image}/labels.tif")
        for request, image in self.corrected & self.given:
            assert any(
                self.store.read(labels_key(correction)) == b"drawn"
                for correction in versions_of(self.store, request)
                if correction.image == image
            )

    @invariant()
    def what_is_young_is_there(self) -> None:
        for request, since_s in self.ended_at.items():
            if request not in self.dropped and self.clock.monotonic_s - since_s < 2 * 86_400:
                assert self.store.exists(image_key(request, 0))

    def nothing_overdue_is_kept(self) -> None:
        for request, since_s in self.ended_at.items():
            age_days = (self.clock.monotonic_s - since_s) / 86_400
            held = {image for image in (0, 1) if consent.is_held(self.store, request, image)}
            for image in {0, 1} - held:
                if age_days >= 2:
                    assert not self.store.exists(image_key(request, image))
                if age_days >= 3:
                    keys = self.store.list_keys(f"{REQUESTS}/{request}/corrections")
                    assert not [key for key in keys if f"/images/{image}/" in key]
            if age_days >= 3 and not held:
                assert list(self.store.list_keys(f"{REQUESTS}/{request}")) == []

    def teardown(self) -> None:
        """At last one more pass and a sweep put everything in order, and the audit tells each deletion once."""
        retention.prune(self.store, POLICY, actor="pruner", now=self.clock.now)
        sweep(self.store, now=self.clock.now)
        self.nothing_overdue_is_kept()
        self.what_is_given_is_there()
        assert verify(self.store).problems == ()
        told = [
            key for entry in audit.entries(self.store) if entry.kind == "deletion" for key in entry.details["sha256s"]
        ]
        assert len(told) == len(set(told))
        assert not {key for key in told if self.store.exists(key)}


class TestRetention(Retention.TestCase):
    """A few thousand steps."""

    settings = settings(max_examples=100, stateful_step_count=40)


@pytest.mark.slow
class TestRetentionAtLength(Retention.TestCase):
    """More than ten thousand steps, other ones each time."""

    settings = settings(max_examples=1000, stateful_step_count=60, derandomize=False)
