"""The study of how a platform ran: the service's statistics, and drift."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_cells import assert_golden, run_cells

from isletnet.client import Client
from isletnet.client.errors import AccessError
from isletnet.errors import ParameterError
from isletnet.storage.statistics import Event
from isletnet.studies.inputs.sources import read_results
from isletnet.studies.topics.operation import (
    FOLLOWED,
    followed_table,
    month_table,
    nameless,
    read_statistics,
    trend_table,
    warning_table,
)
from serve.statistics.events import EventLog
from serve.statistics.tables import aggregate, to_json
from tests.client.live import Server
from tests.service_in_process import Service

FIRST, LAST = date(2026, 3, 30), date(2026, 4, 3)


def _event(day: int, number: int, state: str) -> Event:
    return Event(
        utc=datetime(2026, 3, 30, 9, tzinfo=UTC) + timedelta(days=day),
        kind="end",
        who="Jana" if number % 2 else "Petr",
        action=state,
        duration_s=10.0 + number,
        request_id=f"{day}-{number}",
        waiting_s=1.0,
        images={"islet-unet": 2},
        megapixels=4.0,
        failures=("image_damaged",) if state == "dead" else (),
    )


@pytest.fixture(scope="module")
def statistics_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The answer of a service about five days: three requests a day, of which one died on the last."""
    events = [_event(day, number, "done") for day in range(5) for number in range(3) if (day, number) != (4, 2)]
    content = to_json(aggregate([*events, _event(4, 2, "dead")], first=FIRST, last=LAST))
    path: Path = tmp_path_factory.mktemp("statistics") / "statistics.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope="module")
def dates_file(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("dates") / "dates.csv"
    names = [image.name for image in read_results(results).images]
    rows = "".join(f"{name},2026-0{2 + number // 4}-{1 + 3 * number:02d}\n" for number, name in enumerate(names))
    path.write_text(f"image,date\n{rows}")
    return path


def test_the_study_runs_from_a_file_and_a_folder(
    statistics_file: Path, dates_file: Path, results: Path, tmp_path: Path
) -> None:
    given = {"statistics": str(statistics_file), "results": str(results), "dates": str(dates_file)}
    folder = tmp_path / "run"
    run_cells("operation", given, folder)
    months = pd.read_csv(folder / "tables" / "months.csv").set_index("month")
    assert months["requests_n"].to_dict() == {"2026-03": 6, "2026-04": 9}
    assert months["failed_share"].to_dict() == {"2026-03": 0.0, "2026-04": pytest.approx(1 / 9)}
    assert months["working_s_p50"].to_dict() == {"2026-03": 11.0, "2026-04": 11.0}
    assert_golden(folder, "operation", "months", "followed", "trends")
    people = (folder / "tables" / "people.csv").read_text()
    assert "person 1" in people
    assert "Jana" not in people
    stems = {path.stem for path in (folder / "figures").iterdir()}
    assert stems == {"activity", "working_time", "waiting_time", "drift"}
    noted = json.loads((folder / "inputs.json").read_text())
    assert {"statistics/days", "synthetic-000003/islets.csv"} <= set(noted["read"])


def test_the_study_runs_from_a_service(
    platform: tuple[Service, Server], request_ids: tuple[str, str], tmp_path: Path
) -> None:
    made, server = platform
    log = EventLog(made.store, now=made.now, default_network="islet-unet")
    for event in made.events:
        log.note(event)
    log.flush()
    with Client(server.url) as client:
        answer = client.statistics()
        images = [client.request(one).results().images[0]["name"] for one in request_ids]
    folder = tmp_path / "run"
    run_cells("operation", {"statistics": server.url, "results": server.url, "name_people": True}, folder)
    tables = {name: pd.read_csv(folder / "tables" / f"{name}.csv") for name in ("months", "people", "actions")}
    assert tables["months"][["requests_n", "done_n", "dead_n"]].sum().tolist() == [2, 2, 0]
    assert tables["people"]["who"].tolist() == [one["who"] for one in answer["people"]]
    calls = tables["actions"].set_index("action")["calls_n"]
    assert calls["POST /api/requests"] == 2
    followed = pd.read_csv(folder / "tables" / "followed.csv")
    assert sorted(followed["image"]) == sorted(Path(name).stem for name in images)
    assert set(followed["date"]) <= {day["day"] for day in answer["days"]}
    noted = json.loads((folder / "inputs.json").read_text())["read"]
    assert {"statistics/days", *(f"{one}/0/islets.csv" for one in request_ids)} <= set(noted)


def test_statistics_are_for_administrators(platform: tuple[Service, Server], tmp_path: Path) -> None:
    _, server = platform
    with Client(server.url) as client:
        assert client.statistics()
    key = tmp_path / "key"
    key.write_text("isk_wrong")
    with pytest.raises(AccessError):
        read_statistics(server.url, key_file=str(key), first="", last="")


def test_statistics_of_another_kind_or_day_are_refused(statistics_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"days": []}')
    with pytest.raises(ParameterError, match="statistics with days"):
        read_statistics(str(other), key_file="", first="", last="")
    with pytest.raises(ParameterError, match="YYYY-MM-DD"):
        read_statistics("http://127.0.0.1:9", key_file="", first="yesterday", last="")
    tables = read_statistics(str(statistics_file), key_file="", first="", last="")
    assert nameless(tables["people"])["who"].tolist() == ["person 1", "person 2"]
    assert month_table(tables["days"])["images_n"].sum() == 30


def test_what_is_followed_is_weighted_by_area(results: Path, dates_file: Path) -> None:
    analysed = read_results(results)
    followed = followed_table(analysed, str(dates_file)).set_index("image")
    image = next(one for one in analysed.images if len(one.table()) > 1)
    table = image.table()
    red = np.average(table["mean_red"], weights=table["area_px"])
    assert followed.loc[image.key, "islet_red"] == pytest.approx(red)
    assert followed.loc[image.key, "mean_diameter_um"] == pytest.approx(image.record.summary.mean_diameter.value)
    assert followed["date"].is_monotonic_increasing
    with pytest.raises(ParameterError, match="no image has a date"):
        followed_table(analysed, "")


def _followed(red: np.ndarray, days_apart: int = 10) -> pd.DataFrame:
    start = date(2026, 1, 1)
    days = [(start + timedelta(days=days_apart * number)).isoformat() for number in range(len(red))]
    noise = np.random.default_rng(5).normal(0, 1, (len(red), len(FOLLOWED)))
    table = pd.DataFrame(noise, columns=list(FOLLOWED))
    codes = ["blurred dark" if number % 2 else "" for number in range(len(red))]
    return table.assign(islet_red=red, date=days, image=[f"i{number}" for number in range(len(red))], warnings=codes)


def test_a_drift_is_found_with_its_size_and_chance_is_not() -> None:
    rng = np.random.default_rng(1)
    # 6 grey levels in 30.4375 days.
    red = 150 + 6 * np.arange(40) * 10 / 30.4375 + rng.normal(0, 2, 40)
    trends = trend_table(_followed(red), level=0.95).set_index("number")
    assert trends.loc["islet_red", "change_per_month"] == pytest.approx(6, abs=0.3)
    assert trends["drifts"].astype(bool).sum() == 1


def test_too_few_images_show_no_trend_and_warnings_are_shares() -> None:
    followed = _followed(np.array([1.0, 2.0, 3.0, 4.0]))
    trends = trend_table(followed, level=0.95)
    assert trends["change_per_month"].isna().all()
    table = warning_table(followed).set_index(["month", "code"])
    assert table.loc[("2026-01", "blurred"), "images_n"] == 2
    assert table.loc[("2026-01", "dark"), "share"] == 0.5
