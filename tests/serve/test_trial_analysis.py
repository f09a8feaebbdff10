"""The trial analysis: made seldom, judged by what is found, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from service_in_process import service

from serve.work import trial as made_by
from serve.work.tasks import Answer, Broken, NowDone, Refused, Task
from serve.work.trial import EVERY_S, Trial
from tests.storage.actors import Clock


def found(islets_n: int) -> NowDone:
    return NowDone(record={"summary": {"count": {"value": float(islets_n)}}}, content=b"")


def answering(*answers: Answer | Exception) -> Callable[[Task], Awaitable[Answer]]:
    left = list(answers)

    async def ask(task: Task) -> Answer:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


def looked(clock: Clock, ask: Callable[[Task], Awaitable[Answer]], *, pause_s: float = 0.0, n: int = 1) -> Any:
    """Look several times, with pauses between; gives what was told last."""

    async def look() -> Any:
        trial = Trial(ask, monotonic=clock.monotonic, now=lambda: clock.now)
        for _ in range(n):
            told = await trial.look()
            clock.pass_s(pause_s)
        return told

    return asyncio.run(look())


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_drawn_islet_is_found_by_a_real_worker(tmp_path: Path):
    made = service(tmp_path / "store", tmp_path / "network")

    async def look() -> Any:
        return await Trial(made._ask, monotonic=made.monotonic, now=made.now).look()

    told = asyncio.run(look())
    assert told["state"] == "ok"
    assert 0 < told["duration_s"] < made_by.WITHIN_S
    assert list(made.store.list_keys()) == []


@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [
        (found(1), "ok", None),
        (found(0), "failed", "trial_not_found"),
        (found(2), "failed", "trial_not_found"),
        (Broken(code="worker_lost", message="lost"), "failed", "worker_lost"),
        (Refused(code="network_unusable", message="changed"), "failed", "network_unusable"),
        (ValueError("a bug"), "failed", "unexpected"),
    ],
)
def test_an_answer_is_judged(clock: Clock, answer: Answer | Exception, state: str, code: str | None):
    told = looked(clock, answering(answer))
    assert (told["state"], told.get("code")) == (state, code)
    assert told["begun_utc"] == "2026-11-24T07:00:00+00:00"


def test_another_is_made_only_after_a_while(clock: Clock):
    lost = Broken(code="worker_lost", message="lost")
    assert looked(clock, answering(found(1), lost), pause_s=EVERY_S / 4, n=4)["state"] == "ok"
    assert looked(clock, answering(found(1), lost), pause_s=EVERY_S / 4, n=5)["state"] == "failed"


def test_nobody_waits_for_a_trial_that_hangs(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(made_by, "SOON_S", 0.01)
    monkeypatch.setattr(made_by, "WITHIN_S", 0.1)

    async def hang(task: Task) -> Answer:
        await asyncio.Event().wait()
        return found(1)

    assert looked(clock, hang) == {"state": "ok", "begun_utc": None}
    told = looked(clock, hang, n=30)
    assert (told["state"], told["code"]) == ("silent", "no_answer")
