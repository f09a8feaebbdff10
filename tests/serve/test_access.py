"""Who calls: keys, this machine, the proxy; and what that one may do."""

import pytest
from access_door import HERE, PROXY, SIGNED_IN, Door

from isletnet.errors import ParameterError, StoreUnavailableError
from isletnet.settings import Settings
from serve.access.identity import Access, Principal, check_bind, is_loopback, is_proxy
from serve.access.keys import SCOPES, add_key, revoke_key
from serve.access.refusals import ForbiddenError, UnauthorizedError
from tests.storage.actors import MORNING
from tests.storage.store_contract import MemoryStore


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.8.8.8"])
@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:9000", "[::1]:8000", "LOCALHOST"])
def test_without_keys_this_machine_is_local_and_may_do_everything(peer: str, host: str):
    principal = Door().call(("Host", host), peer=peer)
    assert principal == Principal(name="local", scopes=frozenset(SCOPES), how="local")


@pytest.mark.parametrize("peer", ["10.0.0.9", "192.168.1.2", "::ffff:10.0.0.9", "testclient", "", None])
def test_without_keys_other_machines_are_nobody(peer: str | None):
    with pytest.raises(UnauthorizedError, match="key is needed"):
        Door().call(*HERE, peer=peer)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "a b"]
)
def test_a_foreign_name_that_leads_here_is_refused(host: str):
    with pytest.raises(ForbiddenError, match="localhost"):
        Door().call(("Host", host))


def test_without_a_host_nobody_is_local():
    with pytest.raises(ForbiddenError):
        Door().call()


def test_bound_to_all_addresses_nobody_is_local():
    with pytest.raises(UnauthorizedError):
        Door(host="0.0.0.0").call(*HERE)


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-User"])
def test_what_a_proxy_brings_is_not_local(name: str):
    with pytest.raises(UnauthorizedError):
        Door().call(*HERE, (name, "somebody"))


def test_once_there_is_a_key_it_is_needed_on_this_machine_too():
    door = Door()
    assert door.call(*HERE).name == "local"
    door.key()
    door.clock.pass_s(3)
    with pytest.raises(UnauthorizedError):
        door.call(*HERE)


def test_also_when_all_keys_are_revoked():
    door = Door()
    key = door.key()
    revoke_key(door.store, key.partition(".")[0], actor="admin", now=MORNING)
    with pytest.raises(UnauthorizedError):
        door.call(*HERE)


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.9"])
@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
def test_a_key_says_who_calls(name: str, peer: str):
    door = Door(host="0.0.0.0")
    key = door.key("read", "study")
    value = f"Bearer {key}" if name == "Authorization" else key
    principal = door.call((name, value), peer=peer)
    assert principal == Principal(name="ann", scopes=frozenset({"read", "study"}), how="key")


def test_a_wrong_key_is_nobody_wherever_it_comes_from():
    door = Door()
    key = door.key()
    for wrong in (key[:-1], key[:-1] + ("A" if key[-1] != "A" else "B"), "0" * 16 + key[16:], "", "ä", "x" * 10_000):
        with pytest.raises(UnauthorizedError, match="not known"):
            door.call(*HERE, ("Authorization", f"Bearer {wrong}"))


def test_a_wrong_key_is_nobody_even_where_none_is_needed():
    with pytest.raises(UnauthorizedError):
        Door().call(*HERE, ("X-API-Key", "0" * 16 + "." + "A" * 43))


def test_two_keys_at_once_are_refused():
    door = Door()
    key = door.key()
    with pytest.raises(UnauthorizedError, match="2 times"):
        door.call(("Authorization", f"Bearer {key}"), ("authorization", "Bearer other"))


def test_a_revoked_key_is_refused_within_seconds_by_every_process():
    door = Door()
    key = door.key()
    other = door.again()
    bearer = ("Authorization", f"Bearer {key}")
    assert door.call(bearer).name == other.identify(method="GET", headers=[bearer], peer=None).name == "ann"
    revoke_key(door.store, key.partition(".")[0], actor="admin", now=MORNING)
    door.clock.pass_s(2.1)
    for access in (door.access, other):
        with pytest.raises(UnauthorizedError, match="revoked"):
            access.identify(method="GET", headers=[bearer], peer=None)


def test_a_store_that_does_not_answer_lets_nobody_in():
    door = Door()
    key = door.key()

    class Down(MemoryStore):
        def read(self, key: str, *, start: int = 0, stop: int | None = None) -> bytes:
            raise StoreUnavailableError("down")

    access = Access(door.settings, Down(), monotonic=door.clock.monotonic, now=lambda: MORNING)
    with pytest.raises(StoreUnavailableError):
        access.identify(method="GET", headers=[("X-API-Key", key)], peer="127.0.0.1")


def test_the_proxys_word_is_taken_from_its_address():
    door = Door(host="0.0.0.0", trusted_proxy=PROXY)
    principal = door.call(*SIGNED_IN, peer=PROXY)
    assert principal == Principal(name="ann@clinic.example", scopes=frozenset({"submit", "read"}), how="proxy")


def test_a_network_of_proxies_may_be_trusted():
    door = Door(host="0.0.0.0", trusted_proxy="172.18.0.0/16")
    assert door.call(*SIGNED_IN, peer="172.18.3.4").name == "ann@clinic.example"
    with pytest.raises(UnauthorizedError):
        door.call(*SIGNED_IN, peer="172.19.3.4")


@pytest.mark.parametrize("peer", ["10.0.0.8", "127.0.0.1", "nonsense", None])
def test_the_same_word_from_elsewhere_is_nobodys(peer: str | None):
    with pytest.raises(UnauthorizedError):
        Door(host="0.0.0.0", trusted_proxy=PROXY).call(*SIGNED_IN, peer=peer)


def test_a_proxy_on_this_machine_makes_nobody_local():
    door = Door(trusted_proxy="127.0.0.1")
    assert door.call(*SIGNED_IN).name == "ann@clinic.example"
    with pytest.raises(UnauthorizedError, match="sign in"):
        door.call(*HERE)


@pytest.mark.parametrize("name", ["", "  ", "ann\r\nX-Scopes: admin", "a" * 101, "änn", "ann bob", "../ann"])
def test_names_that_are_none_are_not_signed_in(name: str):
    with pytest.raises(UnauthorizedError, match="name"):
        Door(trusted_proxy=PROXY).call(("X-Forwarded-User", name), peer=PROXY)


def test_an_identity_that_came_twice_is_refused():
    with pytest.raises(UnauthorizedError, match="2 times"):
        Door(trusted_proxy=PROXY).call(*SIGNED_IN, ("x-forwarded-user", "admin"), peer=PROXY)


def test_a_key_counts_more_than_who_signed_in():
    door = Door(trusted_proxy=PROXY)
    assert door.call(*SIGNED_IN, ("X-API-Key", door.key(name="robot")), peer=PROXY).name == "robot"


def test_the_passwords_of_a_proxys_own_sign_in_are_not_taken_for_keys():
    door = Door(trusted_proxy=PROXY)
    assert door.call(*SIGNED_IN, ("Authorization", "Basic YW5uOng="), peer=PROXY).name == "ann@clinic.example"


@pytest.mark.parametrize(
    ("proxy", "peer", "is_ours"),
    [
        ("", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("172.18.0.0/16", "172.18.3.4", True),
        ("172.18.0.0/16", "::ffff:172.18.3.4", True),
        ("172.18.0.0/16", "10.0.0.7", False),
        ("127.0.0.1", "nonsense", False),
        ("127.0.0.1", None, False),
    ],
)
def test_the_proxy_is_known_by_its_address(proxy: str, peer: str | None, is_ours: bool):
    assert is_proxy(Settings(trusted_proxy=proxy), peer) is is_ours


def test_beyond_this_machine_nothing_starts_without_a_way_to_tell_who_calls():
    store = MemoryStore()
    with pytest.raises(ParameterError, match="isletnet keys add") as refused:
        check_bind(Settings(host="0.0.0.0"), store)
    assert refused.value.subject == "ISLETNET_HOST"
    check_bind(Settings(host="127.0.0.1"), store)
    check_bind(Settings(host="0.0.0.0", trusted_proxy=PROXY), store)
    key, status = add_key(store, "ann", ["admin"], actor="root", now=MORNING)
    check_bind(Settings(host="0.0.0.0"), store)
    revoke_key(store, status.key_id, actor="root", now=MORNING)
    with pytest.raises(ParameterError):
        check_bind(Settings(host="0.0.0.0"), store)


def test_a_proxy_that_is_no_address_is_refused_at_the_start():
    with pytest.raises(ParameterError, match="address"):
        check_bind(Settings(trusted_proxy="nginx"), MemoryStore())


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("[::1]", True), ("localhost", True), ("0.0.0.0", False), ("::", False)]
    + [("islets.clinic.example", False), ("", False), ("127.0.0.1.evil.example", False)],
)
def test_loopback(host: str, expected: bool):
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("scopes", "own", "others", "change_own", "change_others"),
    [
        ({"read"}, True, False, False, False),
        ({"submit"}, False, False, True, False),
        ({"submit", "read"}, True, False, True, False),
        ({"study"}, True, True, False, False),
        ({"train"}, False, False, False, False),
        ({"admin"}, True, True, True, True),
    ],
)
def test_what_scopes_allow(scopes: set[str], own: bool, others: bool, change_own: bool, change_others: bool):
    ann = Principal(name="ann", scopes=frozenset(scopes), how="key")
    assert (ann.may_see("ann"), ann.may_see("bob")) == (own, others)
    assert (ann.may_change("ann"), ann.may_change("bob")) == (change_own, change_others)


def test_a_missing_scope_is_named():
    with pytest.raises(ForbiddenError, match="train") as refused:
        Principal(name="ann", scopes=frozenset({"read"}), how="key").require("train")
    assert (refused.value.status, refused.value.code) == (403, "forbidden")


def test_refusals_say_how_to_come_back():
    assert UnauthorizedError("who").headers["WWW-Authenticate"].startswith("Bearer")
