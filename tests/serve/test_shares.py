"""Places are shared: however many one caller wants, the next one finds some."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from access_door import LOCAL
from requests_at_work import picture
from service_in_process import Client, Service, local_client

from isletnet.settings import Settings
from isletnet.storage import records
from isletnet.storage.layout import new_request_id
from serve import shepherd
from serve.access import limits
from serve.access.identity import Principal
from serve.access.keys import add_key
from serve.access.limits import MEGABYTE, Limits
from serve.access.refusals import BusyError, TooManyError
from serve.access.shares import Shares
from serve.platform import listen
from serve.work.tasks import Broken
from tests.storage.actors import Clock
from tests.storage.store_contract import MemoryStore


def person(name: str) -> Principal:
    return Principal(name=name, scopes=frozenset({"submit", "read"}), how="key")


def taken_n(shares: Shares, who: Principal, held: ExitStack, *, most_n: int = 1000) -> int:
    """Take all places that one gets, and hold them."""
    for number in range(most_n):
        try:
            held.enter_context(shares.hold(who))
        except TooManyError:
            return number
    return most_n


@pytest.mark.parametrize(("places_n", "got"), [(200, [100, 50, 25, 13]), (3, [2, 1, 1]), (1, [1, 1])])
def test_nobody_gets_more_than_is_left_for_others(places_n: int, got: list[int]):
    shares = Shares(places_n, refusal="enough")
    with ExitStack() as held:
        assert [taken_n(shares, person(f"greedy-{number}"), held) for number, _ in enumerate(got)] == got


def test_callers_who_come_together_share_evenly_and_leave_a_part():
    shares, people = Shares(100, refusal="enough"), [person("ann"), person("bob"), person("eve")]
    with ExitStack() as held:
        got = dict.fromkeys(people, 0)
        for _ in range(100):
            for who in people:
                got[who] += taken_n(shares, who, held, most_n=1)
        assert list(got.values()) == [25, 25, 25]
        assert taken_n(shares, person("clinic"), held) >= 1


def test_a_place_comes_back_however_the_call_ends():
    shares, ann = Shares(2, refusal="enough"), person("ann")
    for error in (None, ValueError):
        with ExitStack() as held:
            held.enter_context(shares.hold(ann))
            with pytest.raises(TooManyError, match="enough") as refused, shares.hold(ann):
                pass
            assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "5"})
            if error is not None:
                with pytest.raises(error), held:
                    raise error
    with shares.hold(ann):
        pass


def test_this_machine_without_keys_may_be_many_people():
    with ExitStack() as held:
        assert taken_n(Shares(4, refusal="enough"), LOCAL, held, most_n=50) == 50


def test_bytes_are_shared_too():
    shared = Limits(Settings(max_parallel_uploads_mb=10, max_upload_mb=8), monotonic=Clock().monotonic)
    with shared.upload(person("phone"), 4 * MEGABYTE):
        with pytest.raises(TooManyError, match="your files"), shared.upload(person("phone"), 4 * MEGABYTE):
            pass
        with pytest.raises(TooManyError), shared.upload(person("phone"), None) as upload:
            upload.count(4 * MEGABYTE)
        with shared.upload(person("clinic"), 5 * MEGABYTE):
            pass
    with shared.upload(LOCAL, 4 * MEGABYTE), shared.upload(LOCAL, 6 * MEGABYTE):
        pass
    # One large file is always taken.
    with shared.upload(person("phone"), 8 * MEGABYTE):
        pass


def test_the_queue_is_shared_too():
    store, clock = MemoryStore(), Clock()
    shared = Limits(Settings(max_open_requests=10), monotonic=clock.monotonic)

    def submit(who: Principal) -> None:
        shared.check_queue(store, who)
        request_id = new_request_id()
        records.open_draft(store, request_id, owner=who.name, now=clock.now)
        records.add_image(store, request_id, 0, [b"picture"], name="a.tif", now=clock.now)
        records.submit(store, request_id, now=clock.now)

    def submitted_n(who: Principal) -> int:
        for number in range(20):
            try:
                submit(who)
            except (TooManyError, BusyError):
                return number
        return 20

    assert [submitted_n(person(name)) for name in ("phone", "robot", "clinic")] == [5, 3, 1]
    with pytest.raises(TooManyError, match="5 of your requests") as refused:
        submit(person("phone"))
    assert refused.value.headers
    assert submitted_n(LOCAL) == 1
    with pytest.raises(BusyError):
        submit(person("late"))


def test_shares_are_of_what_there_is():
    assert listen.MOST_CALLS >= limits.CALLS_AT_ONCE
    assert limits.ANSWERS_AT_ONCE == shepherd.MOST_ASKED
    # Bodies that drip leave places for short calls.
    assert limits.BODIES_AT_ONCE < limits.CALLS_AT_ONCE / 2


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, make_service: Callable[..., Service]) -> Service:
    """A service with few places."""
    monkeypatch.setattr(limits, "CALLS_AT_ONCE", 8)
    monkeypatch.setattr(limits, "BODIES_AT_ONCE", 4)
    monkeypatch.setattr(limits, "ANSWERS_AT_ONCE", 4)
    return make_service()


def client_of(made: Service, name: str) -> Client:
    key, _ = add_key(made.store, name, ("submit", "read"), actor="test", now=made.now())
    return Client(made=made, headers={"X-API-Key": key}, peer="10.0.0.9", base_url="http://clinic")


Call = Callable[[], Awaitable[httpx.Response]]


@asynccontextmanager
async def many(call: Call, calls_n: int, *, refused_n: int) -> AsyncIterator[list[httpx.Response]]:
    """Make calls at once that do not end by themselves; gives the answers of those that are refused at once."""
    tasks = [asyncio.ensure_future(call()) for _ in range(calls_n)]
    ends = asyncio.as_completed(tasks)
    async with asyncio.timeout(10):
        answers = [await next(ends) for _ in range(refused_n)]
    await asyncio.sleep(0.05)
    assert sum(task.done() for task in tasks) == refused_n
    yield answers
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def check_refused(answers: list[httpx.Response]) -> None:
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many")
        assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("path", ["?wait=60", "/events"])
def test_an_impatient_caller_starves_nobody(small: Service, path: str):
    phone, clinic = client_of(small, "phone"), client_of(small, "clinic")
    request_id = phone.post("/api/requests", json={}).json()["request_id"]

    async def starve() -> None:
        async with many(lambda: phone.call("GET", f"/api/requests/{request_id}{path}"), 12, refused_n=8) as refused:
            check_refused(refused)
            answers = await asyncio.gather(*(clinic.call("GET", "/api/session") for _ in range(2)))
            assert [answer.status_code for answer in answers] == [200, 200]
        assert (await phone.call("GET", f"/api/requests/{request_id}")).status_code == 200

    asyncio.run(starve())


def test_one_who_sends_many_files_slowly_starves_nobody(small: Service):
    phone, clinic = client_of(small, "phone"), client_of(small, "clinic")
    request_id = phone.post("/api/requests", json={}).json()["request_id"]

    async def slowly() -> AsyncIterator[bytes]:
        yield picture()[:64]
        await asyncio.Event().wait()

    async def starve() -> None:
        numbers = iter(range(12))

        def upload() -> Awaitable[httpx.Response]:
            return phone.call("PUT", f"/api/requests/{request_id}/images/{next(numbers)}", content=slowly())

        async with many(upload, 4, refused_n=2) as refused:
            check_refused(refused)
            files = {"images": ("a.png", picture())}
            assert (await clinic.call("POST", "/api/requests", files=files)).status_code == 202

    asyncio.run(starve())


def test_one_who_wants_many_answers_at_once_starves_nobody(small: Service):
    phone, clinic = client_of(small, "phone"), client_of(small, "clinic")
    is_over = asyncio.Event()
    ask = small.app.state.deps.ask

    async def slowly(task: Any) -> Any:
        await is_over.wait()
        return await ask(task)

    object.__setattr__(small.app.state.deps, "ask", slowly)

    async def starve() -> None:
        def analyse(client: Client) -> Awaitable[httpx.Response]:
            return client.call("POST", "/api/analyse", files={"image": ("a.png", picture())})

        async with many(lambda: analyse(phone), 4, refused_n=2) as refused:
            check_refused(refused)
            answer = asyncio.ensure_future(analyse(clinic))
            await asyncio.sleep(0.1)
            is_over.set()
            assert (await answer).status_code == 200

    asyncio.run(starve())


def test_an_image_counts_for_as_long_as_it_is_in_memory(make_service: Callable[..., Service]):
    made = make_service(max_upload_mb=1, max_parallel_uploads_mb=1)
    phone, clinic = client_of(made, "phone"), client_of(made, "clinic")
    large, is_over = picture() + bytes(700_000), asyncio.Event()

    async def slowly(task: Any) -> Any:
        await is_over.wait()
        return Broken(code="worker_lost", message="it is over")

    object.__setattr__(made.app.state.deps, "ask", slowly)

    async def twice() -> None:
        def analyse(client: Client) -> Awaitable[httpx.Response]:
            return client.call("POST", "/api/analyse", files={"image": ("a.png", large)})

        async with many(lambda: analyse(phone), 1, refused_n=0):
            refused = await asyncio.wait_for(analyse(clinic), 10)
            assert (refused.status_code, refused.json()["error"]["message"][:10]) == (503, "many files")
        is_over.set()
        assert "it is over" in (await analyse(clinic)).text

    asyncio.run(twice())


def test_pages_of_many_people_on_this_machine_are_not_held_to_one_share(small: Service):
    pages = local_client(small)
    request_id = pages.post("/api/requests", json={}).json()["request_id"]

    async def look() -> None:
        async with many(lambda: pages.call("GET", f"/api/requests/{request_id}?wait=60"), 8, refused_n=0):
            assert (await pages.call("GET", "/api/session")).status_code == 200

    asyncio.run(look())
