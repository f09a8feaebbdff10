"""How much is taken on, and when the disk is full."""

from pathlib import Path

import pytest
from access_door import LOCAL

from isletnet.errors import StoreFullError
from isletnet.settings import Settings
from serve.access.limits import MEGABYTE, Limits
from serve.access.refusals import BusyError, TooLargeError, TooManyError
from tests.storage.actors import Clock, submit
from tests.storage.store_contract import MemoryStore

GIGABYTE = 1_000_000_000


def limits(
    clock: Clock | None = None,
    *,
    used: int = 0,
    free: int = 1000 * GIGABYTE,
    processes_n: int = 1,
    **settings: object,
) -> Limits:
    return Limits(
        Settings(**settings),
        monotonic=(clock or Clock()).monotonic,
        disk_usage=lambda folder: (used + free, used, free),
        processes_n=processes_n,
    )


class TestCalls:
    """60 calls a minute: one a second, ten at once after a rest."""

    def calls(self, taken: Limits, who: str, calls_n: int) -> int:
        """How many of some calls are admitted."""
        admitted_n = 0
        for _ in range(calls_n):
            try:
                taken.admit_call(who)
            except TooManyError:
                continue
            admitted_n += 1
        return admitted_n

    def test_a_rested_caller_may_do_some_at_once(self):
        assert self.calls(limits(max_calls_per_minute=60), "ann", 30) == 10

    def test_then_the_rate_holds(self):
        clock = Clock()
        taken = limits(clock, max_calls_per_minute=60)
        self.calls(taken, "ann", 30)
        admitted_n = 0
        for _ in range(120):
            clock.pass_s(0.5)
            admitted_n += self.calls(taken, "ann", 3)
        assert admitted_n == 60

    def test_a_caller_who_stays_with_one_of_many_processes_has_the_whole_rate(self):
        clock = Clock()
        taken = limits(clock, max_calls_per_minute=60, processes_n=4)
        assert self.calls(taken, "ann", 30) == 10
        admitted_n = 0
        for _ in range(120):
            clock.pass_s(1)
            admitted_n += self.calls(taken, "ann", 3)
        assert admitted_n == 120

    def test_callers_do_not_stand_in_each_others_way(self):
        taken = limits(max_calls_per_minute=60)
        self.calls(taken, "ann", 30)
        assert self.calls(taken, "bob", 30) == 10

    def test_the_refusal_says_when_to_come_again(self):
        clock = Clock()
        taken = limits(clock, max_calls_per_minute=6)
        self.calls(taken, "ann", 5)
        with pytest.raises(TooManyError) as refused:
            taken.admit_call("ann")
        assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "10"})
        clock.pass_s(10)
        taken.admit_call("ann")

    def test_many_strangers_cost_little_memory_and_free_nobody_early(self):
        taken = limits(max_calls_per_minute=60)
        self.calls(taken, "ann", 30)
        for number in range(9_990):
            taken.admit_call(f"address {number}")
        assert self.calls(taken, "ann", 1) == 0
        for number in range(30_000):
            taken.admit_call(f"other {number}")
        assert len(taken._calls) <= 10_001


class TestUploads:
    def test_the_size_is_refused_before_a_byte_comes(self):
        taken = limits(max_upload_mb=5)
        with pytest.raises(TooLargeError) as refused, taken.upload(LOCAL, 5 * MEGABYTE + 1):
            pass
        assert refused.value.status == 413
        with taken.upload(LOCAL, 5 * MEGABYTE):
            pass

    def test_a_request_has_a_size_too(self):
        taken = limits(max_upload_mb=5, max_request_mb=8)
        with taken.upload(LOCAL, 3 * MEGABYTE, request_bytes=5 * MEGABYTE):
            pass
        with pytest.raises(TooLargeError), taken.upload(LOCAL, 4 * MEGABYTE, request_bytes=5 * MEGABYTE):
            pass
        with pytest.raises(TooLargeError), taken.upload(LOCAL, None, request_bytes=8 * MEGABYTE):
            pass

    def test_a_size_that_was_not_said_is_found_out(self):
        taken = limits(max_upload_mb=1)
        with taken.upload(LOCAL, None) as upload:
            upload.count(MEGABYTE)
            with pytest.raises(TooLargeError):
                upload.count(1)

    def test_a_size_that_was_a_lie_is_found_out(self):
        with limits().upload(LOCAL, 10) as upload:
            upload.count(10)
            with pytest.raises(TooLargeError, match="10 bytes"):
                upload.count(1)

    def test_only_so_much_is_on_its_way_at_once(self):
        taken = limits(max_parallel_uploads_mb=10)
        with taken.upload(LOCAL, 6 * MEGABYTE), taken.upload(LOCAL, 4 * MEGABYTE):
            with pytest.raises(BusyError) as refused, taken.upload(LOCAL, 1):
                pass
            assert refused.value.status == 503
            assert int(refused.value.headers["Retry-After"]) >= 1
        with taken.upload(LOCAL, 10 * MEGABYTE):
            pass

    def test_an_upload_that_broke_off_gives_its_place_back(self):
        taken = limits(max_parallel_uploads_mb=10)
        for announced in (9 * MEGABYTE, None):
            with pytest.raises(TooLargeError), taken.upload(LOCAL, announced) as upload:
                upload.count(600 * MEGABYTE)
        with taken.upload(LOCAL, 10 * MEGABYTE):
            pass

    def test_a_file_larger_than_all_together_is_taken_alone(self):
        taken = limits(max_parallel_uploads_mb=1, max_upload_mb=5)
        with taken.upload(LOCAL, 5 * MEGABYTE), pytest.raises(BusyError), taken.upload(LOCAL, 1):
            pass
        with taken.upload(LOCAL, None) as upload:
            for _ in range(5):
                upload.count(MEGABYTE)

    def test_sizes_that_were_not_said_count_as_they_come(self):
        taken = limits(max_parallel_uploads_mb=10)
        with taken.upload(LOCAL, 6 * MEGABYTE), taken.upload(LOCAL, None) as upload:
            upload.count(4 * MEGABYTE)
            with pytest.raises(BusyError):
                upload.count(1)

    def test_images_are_counted(self):
        limits(max_images=3).check_images(3)
        with pytest.raises(TooLargeError, match="at most 3"):
            limits(max_images=3).check_images(4)


def test_a_long_queue_takes_no_more():
    store, clock = MemoryStore(), Clock()
    taken = limits(max_open_requests=2)
    for _ in range(2):
        taken.check_queue(store, LOCAL)
        submit(store, clock)
    with pytest.raises(BusyError, match="2 requests") as refused:
        taken.check_queue(store, LOCAL)
    assert refused.value.headers


class TestSpace:
    @pytest.mark.parametrize(
        ("used", "state"), [(0, "ok"), (79, "ok"), (80, "warning"), (94, "warning"), (95, "full"), (100, "full")]
    )
    def test_the_disk_warns_and_then_is_full(self, used: int, state: str):
        space = limits(used=used * GIGABYTE, free=(100 - used) * GIGABYTE).space()
        assert space is not None
        assert (space.state, space.used_fraction) == (state, used / 100)

    def test_a_full_disk_takes_no_images(self):
        with pytest.raises(StoreFullError, match="room"), limits(used=95, free=5).upload(LOCAL, 1):
            pass

    def test_nor_does_one_with_less_room_than_is_coming(self):
        taken = limits(used=0, free=10 * MEGABYTE)
        with pytest.raises(StoreFullError), taken.upload(LOCAL, 11 * MEGABYTE):
            pass
        with taken.upload(LOCAL, 6 * MEGABYTE), pytest.raises(StoreFullError), taken.upload(LOCAL, 6 * MEGABYTE):
            pass

    def test_what_has_arrived_needs_no_room_any_more(self):
        taken = limits(used=0, free=10 * MEGABYTE)
        with taken.upload(LOCAL, 6 * MEGABYTE) as first:
            first.count(3 * MEGABYTE)
            with taken.upload(LOCAL, 6 * MEGABYTE):
                pass

    def test_blocks_kept_for_root_are_not_free(self):
        taken = Limits(Settings(), monotonic=Clock().monotonic, disk_usage=lambda folder: (1000, 900, 40))
        space = taken.space()
        assert space is not None
        assert space.used_fraction == pytest.approx(900 / 940)
        assert space.state == "full"

    def test_a_bucket_has_no_end(self):
        taken = limits(used=100, free=0, store="s3://islets/store")
        assert taken.space() is None
        with taken.upload(LOCAL, 1):
            pass

    def test_the_disk_is_that_of_the_store(self, tmp_path: Path):
        asked = []

        def usage(folder: Path) -> tuple[int, int, int]:
            asked.append(folder)
            return 100, 0, 100

        Limits(Settings(store=str(tmp_path / "not" / "yet")), monotonic=Clock().monotonic, disk_usage=usage).space()
        assert asked == [tmp_path]

    def test_a_real_disk_can_be_asked(self, tmp_path: Path):
        space = Limits(Settings(store=str(tmp_path)), monotonic=Clock().monotonic).space()
        assert space is not None
        assert 0 < space.free_bytes <= space.total_bytes


def test_nothing_is_deleted_to_make_room():
    store, clock = MemoryStore(), Clock()
    submit(store, clock)
    before = list(store.list_keys())
    with pytest.raises(StoreFullError):
        limits(used=99, free=1).check_space()
    assert list(store.list_keys()) == before
