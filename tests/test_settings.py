"""Settings: documented defaults, checked values, nothing else from the environment."""

import pytest
from pydantic import ValidationError

from isletnet.settings import Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ISLETNET_{name.upper()}", raising=False)


def test_defaults() -> None:
    library = {"network", "engine", "precision", "max_pixels", "threads"}
    assert Settings().model_dump(include=library) == {
        "network": "islet-unet",
        "engine": "auto",
        "precision": "auto",
        "max_pixels": 150_000_000,
        "threads": 0,
    }


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Settings().model_dump()
    monkeypatch.setenv("ISLETNET_NETWORK", "islet-unet-small")
    monkeypatch.setenv("ISLETNET_ENGINE", "openvino")
    monkeypatch.setenv("ISLETNET_PRECISION", "bf16")
    monkeypatch.setenv("ISLETNET_MAX_PIXELS", "2000000")
    monkeypatch.setenv("ISLETNET_THREADS", "2")
    monkeypatch.setenv("ISLETNET_SOMETHING_ELSE", "1")
    monkeypatch.setenv("ENGINE", "tensorflow")
    changed = {
        "network": "islet-unet-small",
        "engine": "openvino",
        "precision": "bf16",
        "max_pixels": 2_000_000,
        "threads": 2,
    }
    assert Settings().model_dump() == {**before, **changed}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENGINE", "torch"),
        ("PRECISION", "f16"),
        ("MAX_PIXELS", "0"),
        ("THREADS", "-1"),
        ("THREADS", "x"),
        ("NETWORK", ""),
    ],
)
def test_wrong_values_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"ISLETNET_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().threads = 3  # type: ignore[misc]


def test_every_setting_is_described() -> None:
    assert all(field.description and field.description.endswith(".") for field in Settings.model_fields.values())


def test_the_limit_is_that_of_the_decoder() -> None:
    from isletnet.analysis.decode import MAX_PIXELS

    assert Settings().max_pixels == MAX_PIXELS
