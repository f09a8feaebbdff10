"""What the ingress makes of deployments that break down."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError
from ray.exceptions import ActorDiedError, RayTaskError

from isletnet.errors import ClockError
from isletnet.settings import Settings
from serve import ingress
from serve.access.refusals import BusyError, TooManyError
from serve.app import build
from serve.doors.answers import wanted
from serve.work.direct import Switchboard
from serve.work.tasks import Broken, CopyDone, CopyTask, NowDone, Refused
from tests.deploy.one_host import free_ports

TASK = CopyTask(request_id="0" * 32, number=0, version=0)


class Handle:
    """A handle of a deployment whose methods do what the test says; ``address`` is that of a direct line to it."""

    def __init__(self, do: Callable[..., Any], address: str | None = None) -> None:
        self._do = do
        self.address = SimpleNamespace(remote=lambda: SimpleNamespace(result=lambda: address))

    def __getattr__(self, name: str) -> Any:
        return self

    def remote(self, *arguments: Any) -> Any:
        return self._do(*arguments)


def raising(error: Exception) -> Handle:
    async def fail(*arguments: Any) -> None:
        raise error

    return Handle(fail)


def asked(shepherd: Any, task: Any = TASK) -> Any:
    return asyncio.run(ingress.Asking(shepherd)(task))


def test_a_lost_task_is_to_be_sent_again():
    for handle in (raising(ActorDiedError()), without_address(ActorDiedError())):
        with pytest.raises(BusyError, match="try again") as caught:
            wanted(asked(handle), NowDone)
        assert int(caught.value.headers["Retry-After"]) >= 1


def without_address(error: Exception) -> Handle:
    def fail() -> None:
        raise error

    handle = raising(AssertionError("it is not asked, for it is away"))
    handle.address = SimpleNamespace(remote=lambda: SimpleNamespace(result=fail))
    return handle


def test_an_answer_comes_through_as_it_is():
    async def answer(task: CopyTask) -> CopyDone:
        return CopyDone()

    assert asked(Handle(answer)) == CopyDone()


def test_the_only_shepherd_is_asked_over_a_line_and_by_ray_where_that_is_lost():
    tasks: list[Any] = []

    async def by_ray(task: Any) -> str:
        tasks.append(task)
        return "by Ray"

    near = Switchboard(lambda task: ("near", task))
    assert asked(Handle(by_ray, near.address)) == ("near", TASK)
    assert tasks == []
    assert asked(Handle(by_ray, "\0isletnet-nobody")) == "by Ray"
    # It has been told that there are several meanwhile.
    assert asked(Handle(by_ray, Switchboard(lambda task: None).address)) == "by Ray"
    assert tasks == [TASK, TASK]


def test_the_api_waits_for_the_first_answers_of_the_parts_but_not_for_ever():
    answered: list[str] = []

    async def slow() -> None:
        await asyncio.sleep(0.05)
        answered.append("slow")

    async def dead() -> None:
        raise ActorDiedError

    asyncio.run(ingress.first_answers([slow, dead]))
    assert answered == ["slow"]

    async def never() -> None:
        await asyncio.Event().wait()

    asyncio.run(ingress.first_answers([never, slow], 0.2))
    assert answered == ["slow", "slow"]


def test_what_the_pruner_refuses_keeps_its_words():
    wrapped = RayTaskError("prune", "a trace", ClockError("the clock jumped")).as_instanceof_cause()
    with pytest.raises(ClockError, match="the clock jumped") as caught:
        asyncio.run(ingress._prune(raising(wrapped), False, "ada"))
    assert type(caught.value) is ClockError
    with pytest.raises(BusyError):
        asyncio.run(ingress._prune(raising(ActorDiedError()), False, "ada"))


def test_a_nudge_never_fails():
    def fail(*arguments: Any) -> None:
        raise ActorDiedError

    ingress._nudge(Handle(fail))


def test_each_replica_shares_the_port_and_allows_all_calls_of_one_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ingress.serve, "get_replica_context", lambda: SimpleNamespace(world_size=4))
    # The class as it stands in the file; what Ray makes of it needs a cluster.
    plain = ingress.Ingress.func_or_class.__mro__[1]
    settings = Settings(store=str(tmp_path), max_calls_per_minute=120)
    (port,) = free_ports(1)
    replicas = [plain(*[raising(ActorDiedError())] * 3, host="127.0.0.1", port=port, settings=settings) for _ in "ab"]
    for replica in replicas:
        limits = replica._deps.limits
        for _ in range(20):
            limits.admit_call("ann")
        with pytest.raises(TooManyError):
            limits.admit_call("ann")
        # It does not listen yet.
        with pytest.raises(RuntimeError, match="server has ended"):
            replica.check_health()
        replica._events.close()
        asyncio.run(replica._server.close())


def test_workers_are_one_more_than_processors_up_to_a_few():
    assert [ingress.usual_workers_n(cpus_n) for cpus_n in (1, 2, 4, 7, 64)] == [2, 3, 5, 8, 8]


def test_a_layout_that_cannot_be_is_refused():
    for arguments in ({"workers_n": 0}, {"worker_n": 2}):
        with pytest.raises(ValidationError):
            build(arguments)
    assert build({"workers_n": 3}) is not None


def test_a_refusal_keeps_code_and_subject():
    with pytest.raises(Exception, match="broken") as caught:
        wanted(Refused(code="image_damaged", message="it is broken", subject="a.png"), NowDone)
    assert (caught.value.code, caught.value.subject) == ("image_damaged", "a.png")
    with pytest.raises(Exception, match="in its log") as fault:
        wanted(Broken(code="unexpected", message="it is in its log"), NowDone)
    assert fault.value.code == "unexpected"
