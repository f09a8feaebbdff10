"""Chores: pruning and sweeping by the settings, each run told and noted; when they are done."""

from datetime import timedelta
from pathlib import Path

import pytest

from isletnet.settings import Settings
from isletnet.storage import retention
from isletnet.storage.backends.local import LocalStore
from isletnet.storage.verify import verify
from serve.pruner import REST_FACTOR, Chore, Rounds
from serve.upkeep import chores
from tests.storage.actors import Clock, submit, work_through

SETTINGS = Settings(images_days=2, results_days=5)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def prune(store: LocalStore, clock: Clock) -> chores.ChoreRun:
    return chores.run_prune(store, SETTINGS, actor="keeper", now=clock.now, monotonic=clock.monotonic)


def live(store: LocalStore, clock: Clock, days: int) -> list[chores.ChoreRun]:
    """Prune every day."""
    runs = []
    for _ in range(days):
        clock.now += timedelta(days=1)
        runs.append(prune(store, clock))
    return runs


def test_things_go_by_the_days_of_the_settings(store: LocalStore, clock: Clock):
    submit(store, clock)
    work_through(store, clock)
    prune(store, clock)
    runs = live(store, clock, 6)
    assert [dict(run.removed) for run in runs] == [{}, {"images": 1}, {}, {}, {"record": 1}, {}]
    assert verify(store).problems == ()


def test_a_dry_run_tells_what_would_go_and_changes_nothing(store: LocalStore, clock: Clock):
    request = submit(store, clock)
    work_through(store, clock)
    clock.now += timedelta(days=3)
    before = list(store.list_keys())
    told = chores.plan_prune(store, SETTINGS, now=clock.now)
    assert [(one["request_id"], one["kind"]) for one in told["deletions"]] == [(request.request_id, "images")]
    assert told["removed"] == {"images": 1}
    assert list(store.list_keys()) == before


def test_a_clock_that_jumped_deletes_nothing_until_an_admin_confirms_it(store: LocalStore, clock: Clock):
    submit(store, clock)
    work_through(store, clock)
    prune(store, clock)
    clock.now += timedelta(days=40)
    run = prune(store, clock)
    assert (run.code, dict(run.removed)) == ("clock_jumped", {})
    told = chores.plain(chores.last_runs(store)["prune"])
    assert told["state"] == "failed"
    assert "confirm it" in str(told["message"])
    retention.confirm_clock(store, admin="ann", now=clock.now)
    clock.pass_s(1)
    assert dict(prune(store, clock).removed) == {"record": 1}
    assert chores.last_runs(store)["prune"].code is None


def test_runs_are_noted_and_old_notes_forgotten(store: LocalStore, clock: Clock):
    live(store, clock, chores.KEPT_RUNS_N + 3)
    keys = list(store.list_keys(chores.CHORES))
    assert len(keys) == chores.KEPT_RUNS_N
    assert chores.last_runs(store)["prune"].begun_utc == clock.now
    assert verify(store).problems == ()


def test_a_sweep_that_found_nothing_leaves_no_note(store: LocalStore, clock: Clock):
    run = chores.run_sweep(store, now=clock.now, monotonic=clock.monotonic)
    assert (run.code, dict(run.removed)) == (None, {})
    assert chores.last_runs(store) == {}
    request = submit(store, clock)
    work_through(store, clock)
    chores.run_sweep(store, now=clock.now, monotonic=clock.monotonic)
    clock.pass_s(1)
    store.create(f"open/20200101T000000000000Z-{request.request_id}", b"")
    run = chores.run_sweep(store, now=clock.now, monotonic=clock.monotonic)
    assert dict(run.removed) == {"open": 1}
    assert set(chores.last_runs(store)) == {"sweep"}


def test_mails_go_where_the_settings_say():
    assert chores.smtp_of(Settings()) is None
    smtp = chores.smtp_of(Settings(smtp_host="mail.example", mail_sender="a@b.example", smtp_password="secret"))
    assert smtp is not None
    assert (smtp.host, smtp.sender, smtp.username, smtp.password) == ("mail.example", "a@b.example", None, "secret")
    assert smtp.link.format(request_id="0" * 32) == f"http://127.0.0.1:8080/?request={'0' * 32}"
    own = Settings(smtp_host="mail.example", result_link="https://islets.example/r/{request_id}")
    assert getattr(chores.smtp_of(own), "link", None) == "https://islets.example/r/{request_id}"


class Timer:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.done: list[tuple[str, float]] = []

    def __call__(self) -> float:
        return self.now_s

    def chore(
        self, name: str, every_s: float, *, takes_s: float = 0.0, fails: bool = False, rest_factor: float = 0.0
    ) -> Chore:
        def do() -> None:
            self.done.append((name, self.now_s))
            self.now_s += takes_s
            if fails:
                raise OSError("away")

        return Chore(name=name, every_s=every_s, do=do, rest_factor=rest_factor)

    def run(self, rounds: Rounds, until_s: float) -> None:
        while self.now_s < until_s:
            self.now_s += max(rounds.step(), 0.001)


def test_each_chore_has_its_own_pace():
    timer = Timer()
    timer.run(Rounds([timer.chore("a", 10), timer.chore("b", 25)], monotonic=timer), 49)
    assert [round(at) for name, at in timer.done if name == "a"] == [0, 10, 20, 30, 40]
    assert [round(at) for name, at in timer.done if name == "b"] == [0, 25]


def test_a_chore_that_takes_long_rests_longer():
    timer = Timer()
    slow = timer.chore("slow", 30, takes_s=10, rest_factor=REST_FACTOR)
    timer.run(Rounds([slow], monotonic=timer), 200)
    assert [round(at) for _, at in timer.done] == [0, 10 + round(10 * REST_FACTOR)]


def test_a_chore_that_fails_stops_neither_itself_nor_others():
    timer = Timer()
    timer.run(Rounds([timer.chore("bad", 10, fails=True), timer.chore("good", 10)], monotonic=timer), 15)
    assert [name for name, _ in timer.done] == ["bad", "good", "bad", "good"]
