"""What pages of others cannot do: origins, and the token that a page of ours has read."""

import pytest
from access_door import HERE, PROXY, Door

from isletnet.settings import Settings
from serve.access.identity import CSRF_LIFE_S, Principal, pages_origins
from serve.access.refusals import ForbiddenError, UnauthorizedError


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "post"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000", "http://localhost:8000.evil.example", ""]
)
def test_pages_of_another_origin_change_nothing(method: str, origin: str):
    door = Door()
    key = door.key()
    for headers in (HERE, [*HERE, ("X-API-Key", key)]):
        with pytest.raises((ForbiddenError, UnauthorizedError)):
            door.call(*headers, ("Origin", origin), method=method)
    with pytest.raises(ForbiddenError, match="origin"):
        door.call(*HERE, ("X-API-Key", key), ("Origin", origin), method=method)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_nor_do_they_without_saying_where_they_come_from(site: str):
    with pytest.raises(ForbiddenError):
        Door().call(*HERE, ("Sec-Fetch-Site", site), method="POST")


@pytest.mark.parametrize("origin", ["http://localhost:8000", "http://localhost:8080", "http://127.0.0.1:8080"])
def test_our_own_pages_may(origin: str):
    assert Door().call(*HERE, ("Origin", origin), ("Sec-Fetch-Site", "same-site"), method="POST").name == "local"


def test_reading_is_left_to_the_browsers_own_rules():
    assert Door().call(*HERE, ("Origin", "https://evil.example")).name == "local"


def test_the_pages_may_be_elsewhere():
    settings = Settings(pages_origin="https://Islets.clinic.example/")
    assert pages_origins(settings) == {"https://islets.clinic.example"}
    assert pages_origins(Settings(host="10.0.0.1", pages_port=9090)) == {"http://10.0.0.1:9090"}


class TestToken:
    """Signed in by the proxy, a page shows that it has read its own token."""

    @pytest.fixture
    def door(self) -> Door:
        return Door(trusted_proxy=PROXY)

    def post(self, door: Door, *headers: tuple[str, str], user: str = "ann") -> Principal:
        signed_in = [("Host", "clinic.example"), ("X-Forwarded-User", user)]
        return door.call(*signed_in, *headers, method="POST", peer=PROXY)

    def token(self, door: Door, user: str = "ann") -> str:
        return door.access.csrf_token(door.call(("X-Forwarded-User", user), peer=PROXY))

    def test_it_is_needed(self, door: Door):
        with pytest.raises(ForbiddenError, match="X-CSRF-Token"):
            self.post(door)

    def test_with_it_the_call_goes_through(self, door: Door):
        assert self.post(door, ("X-CSRF-Token", self.token(door))).name == "ann"

    def test_another_process_takes_it_too(self, door: Door):
        token = self.token(door)
        door.access = door.again()
        assert self.post(door, ("X-CSRF-Token", token)).name == "ann"

    def test_it_is_of_one_principal(self, door: Door):
        with pytest.raises(ForbiddenError):
            self.post(door, ("X-CSRF-Token", self.token(door, "bob")))

    def test_it_ends(self, door: Door):
        token = self.token(door)
        door.clock.pass_s(CSRF_LIFE_S - 1)
        assert self.post(door, ("X-CSRF-Token", token)).name == "ann"
        door.clock.pass_s(2)
        with pytest.raises(ForbiddenError):
            self.post(door, ("X-CSRF-Token", token))

    def test_its_end_cannot_be_moved(self, door: Door):
        until, _, signature = self.token(door).partition(".")
        later = f"{int(until, 16) + 3600:x}"
        for forged in (f"{later}.{signature}", f"{until}.{'0' * 64}", "", "x", f"{until}.{signature}0"):
            with pytest.raises(ForbiddenError):
                self.post(door, ("X-CSRF-Token", forged))

    def test_a_key_needs_none(self, door: Door):
        assert self.post(door, ("X-API-Key", door.key(name="robot"))).name == "robot"

    def test_another_installations_token_is_worth_nothing(self, door: Door):
        with pytest.raises(ForbiddenError):
            self.post(door, ("X-CSRF-Token", self.token(Door(trusted_proxy=PROXY))))
