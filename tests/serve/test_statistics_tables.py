"""Counting what was done, and the workbook that shows it."""

import json
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from io import BytesIO

import openpyxl
import pytest

from isletnet.errors import ParameterError
from isletnet.storage.statistics import Event
from serve.statistics.tables import aggregate, period, to_json
from serve.statistics.xlsx import MOST_BARS, statistics_xlsx

FIRST, LAST = date(2026, 11, 1), date(2026, 11, 10)
NASTY = "=cmd|'/c calc'!A1"


def at(day: int, hour: float = 9.0) -> datetime:
    return datetime(2026, 11, day, tzinfo=UTC) + timedelta(hours=hour)


def call(day: int, who: str = "ann", action: str = "GET /a", *, status: int = 200, s: float = 0.1, **values) -> Event:
    return Event(utc=at(day), kind="call", who=who, action=action, duration_s=s, status=status, **values)


def end(day: int, number: int, who: str = "ann", state: str = "done", *, s: float = 8.0, **values) -> Event:
    values = {"images": {"islet-unet": 2}, "megapixels": 3.0, "waiting_s": 1.0, **values}
    return Event(utc=at(day), kind="end", who=who, action=state, duration_s=s, request_id=f"{number:032x}", **values)


def rows(events: list[Event], table: str) -> list[dict]:
    return to_json(aggregate(events, first=FIRST, last=LAST))[table]


def test_days_without_events_have_rows_too():
    days = rows([end(3, 1)], "days")
    assert [row["day"] for row in days] == [f"2026-11-{day:02}" for day in range(1, 11)]
    assert [row["requests_n"] for row in days] == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert days[0]["working_s_p50"] is None


def test_a_day_counts_its_calls_and_requests():
    events = [call(2, status=code) for code in (200, 202, 404, 429, 500, 503)]
    events += [end(2, 1), end(2, 2, "bob", "dead", failures=("image_damaged",)), end(2, 3, state="cancelled")]
    (day,) = [row for row in rows(events, "days") if row["calls_n"]]
    expected = {"day": "2026-11-02", "calls_n": 6, "refused_calls_n": 2, "failed_calls_n": 2, "requests_n": 3}
    expected |= {"done_n": 1, "dead_n": 1, "cancelled_n": 1, "images_n": 6, "failures_n": 1, "people_n": 2}
    assert {name: day[name] for name in expected} == expected
    assert day["megapixels"] == pytest.approx(9.0)


def test_percentiles_are_those_of_sorted_values():
    waits = [float(value) for value in range(101)]
    random.Random(1).shuffle(waits)
    events = [end(2, number, waiting_s=wait, s=2 * wait) for number, wait in enumerate(waits)]
    day = rows(events, "days")[1]
    assert [day[f"waiting_s_{name}"] for name in ("p50", "p95", "p99")] == pytest.approx([50.0, 95.0, 99.0])
    assert [day[f"working_s_{name}"] for name in ("p50", "p95", "p99")] == pytest.approx([100.0, 190.0, 198.0])


def test_an_end_that_was_noted_twice_counts_once():
    assert sum(row["requests_n"] for row in rows([end(2, 1), end(2, 1)], "days")) == 1


def test_other_days_are_passed_over():
    outside = [
        Event(utc=datetime(2026, 10, 31, 23, 59, tzinfo=UTC), kind="call", who="a", action="b", duration_s=0),
        Event(utc=datetime(2026, 11, 11, tzinfo=UTC), kind="call", who="a", action="b", duration_s=0),
    ]
    assert rows(outside, "people") == []


def test_people_come_by_how_much_they_used():
    events = [end(1, 1, "ann"), end(2, 2, "bob"), end(3, 3, "bob"), call(4, "ann"), call(5, "carla", status=403)]
    people = rows(events, "people")
    assert [(row["who"], row["requests_n"], row["images_n"], row["calls_n"]) for row in people] == [
        ("bob", 2, 4, 0),
        ("ann", 1, 2, 1),
        ("carla", 0, 0, 1),
    ]
    assert people[1]["last_utc"] == "2026-11-04T09:00:00+00:00"
    assert people[0]["working_s"] == pytest.approx(16.0)


def test_calls_of_nobody_known_are_one_row():
    events = [call(1, "", status=401), call(2, "", status=401), call(3, "ann")]
    assert [(row["who"], row["calls_n"]) for row in rows(events, "people")] == [("(unknown)", 2), ("ann", 1)]


def test_networks_share_a_request():
    mixed = end(1, 1, images={"islet-unet": 3, "small": 1}, s=100.0)
    events = [mixed, end(2, 2, images={"islet-unet": 4}, s=8.0), call(3, images={"small": 1})]
    assert rows(events, "networks") == [
        {
            "network": "islet-unet",
            "requests_n": 2,
            "images_n": 7,
            "working_s_per_image_p50": 2.0,
            "working_s_per_image_p95": 2.0,
            "working_s_per_image_p99": 2.0,
        },
        {
            "network": "small",
            "requests_n": 1,
            "images_n": 2,
            "working_s_per_image_p50": None,
            "working_s_per_image_p95": None,
            "working_s_per_image_p99": None,
        },
    ]


def test_actions_are_routes():
    events = [call(1, s=0.1), call(2, s=0.3, status=404), call(3, action="POST /b", status=507)]
    actions = rows(events, "actions")
    assert [(row["action"], row["calls_n"], row["refused_n"], row["failed_n"]) for row in actions] == [
        ("GET /a", 2, 1, 0),
        ("POST /b", 1, 0, 1),
    ]
    assert actions[0]["call_s_p50"] == pytest.approx(0.2)


def test_failures_are_counted_by_code_and_where_they_came_up():
    codes = ["image_damaged", "image_damaged", "worker_lost"]
    events = [end(1, 1, failures=tuple(codes)), end(4, 2, failures=("image_damaged",))]
    events += [call(5, status=422, failures=("image_damaged",))]
    failures = rows(events, "failures")
    assert {(row["code"], row["of"]): row["failures_n"] for row in failures} == {
        ("image_damaged", "requests"): 3,
        ("worker_lost", "requests"): 1,
        ("image_damaged", "calls"): 1,
    }
    first = next(row for row in failures if (row["code"], row["of"]) == ("image_damaged", "requests"))
    assert (first["first_utc"][:10], first["last_utc"][:10]) == ("2026-11-01", "2026-11-04")


def test_without_events_there_are_empty_tables():
    plain = to_json(aggregate([], first=FIRST, last=LAST))
    assert [len(plain[name]) for name in ("days", "people", "networks", "actions", "failures")] == [10, 0, 0, 0, 0]
    json.dumps(plain, allow_nan=False)
    assert openpyxl.load_workbook(BytesIO(statistics_xlsx(aggregate([], first=FIRST, last=LAST)))).sheetnames


def test_days_that_were_not_said():
    today = date(2026, 11, 24)
    assert period(None, None, today=today) == (date(2026, 10, 26), today)
    assert period(None, date(2026, 1, 30), today=today) == (date(2026, 1, 1), date(2026, 1, 30))
    assert period(date(2026, 11, 1), None, today=today) == (date(2026, 11, 1), today)
    for first, last in ((date(2026, 11, 25), None), (date(2020, 1, 1), None), (date(2026, 2, 2), date(2026, 2, 1))):
        with pytest.raises(ParameterError, match="first"):
            period(first, last, today=today)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    people = [NASTY, *(f"person{number:02}" for number in range(30))]
    events = [end(1 + number % 9, number, people[number % 31], s=float(number % 50)) for number in range(300)]
    return events + [call(1 + number % 9, people[number % 31]) for number in range(100)]


@pytest.fixture(scope="module")
def book(events: list[Event]) -> openpyxl.Workbook:
    return openpyxl.load_workbook(BytesIO(statistics_xlsx(aggregate(events, first=FIRST, last=LAST))))


class TestWorkbook:
    def test_its_sheets(self, book: openpyxl.Workbook):
        assert book.sheetnames == ["Overview", "Days", "People", "Networks", "Actions", "Failures"]

    def test_the_days_are_dates_and_numbers(self, book: openpyxl.Workbook, events: list[Event]):
        head, *lines = book["Days"].iter_rows(values_only=True)
        column = {title: number for number, title in enumerate(head)}
        assert [line[0].date() for line in lines] == [FIRST + timedelta(days=offset) for offset in range(10)]
        counted = Counter(event.utc.date() for event in events if event.kind == "end")
        assert {line[0].date(): line[column["Requests ended"]] for line in lines if line[0].day < 10} == counted
        assert lines[-1][column["Work (s), median"]] is None

    def test_names_are_text_whatever_they_begin_with(self, book: openpyxl.Workbook):
        cells = [cell for (cell,) in book["People"].iter_rows(min_row=2, max_col=1)]
        (nasty,) = [cell for cell in cells if cell.value == NASTY]
        assert nasty.data_type == "s"
        assert len(cells) == 31

    def test_every_title_is_for_people(self, book: openpyxl.Workbook):
        titles = [cell.value for sheet in book.worksheets[1:] for cell in sheet[1]]
        assert titles
        assert not [title for title in titles if "_" in title]

    def test_charts_point_at_the_columns_that_they_name(self, book: openpyxl.Workbook):
        shown = {}
        for chart in book["Overview"]._charts:
            title = chart.title.tx.rich.paragraphs[0].r[0].t
            for series in chart.series:
                sheet, cell = series.tx.strRef.f.split("!")
                values_sheet, values = series.val.numRef.f.split("!")
                column = book[sheet][cell.replace("$", "")]
                assert values_sheet == sheet
                assert {part.split("$")[1] for part in values.split(":")} == {column.column_letter}
                assert values.split("$")[2].strip(":") == "2"
                last = int(values.rpartition("$")[2])
                assert last == (11 if sheet == "Days" else min(MOST_BARS + 1, book[sheet].max_row))
                shown.setdefault(title, []).append(column.value)
        assert shown == {
            "Requests a day": ["Done", "Dead", "Cancelled"],
            "Images a day": ["Images"],
            "Duration of requests": ["Wait (s), median", "Work (s), median", "Work (s), 95 % below"],
            "Failures a day": ["Failures", "Failed calls (5xx)"],
            "Images by network": ["Images"],
            f"Images by person (first {MOST_BARS})": ["Images"],
        }

    def test_charts_do_not_cover_each_other(self, book: openpyxl.Workbook):
        boxes = [
            (c.anchor._from.col, c.anchor._from.row, c.anchor.to.col, c.anchor.to.row) for c in book["Overview"]._charts
        ]
        for number, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[number + 1 :]:
                assert right < other[0] or other[2] < left or bottom <= other[1] or other[3] <= top

    def test_the_same_statistics_give_the_same_bytes(self, events: list[Event]):
        statistics = aggregate(events, first=FIRST, last=LAST)
        assert statistics_xlsx(statistics) == statistics_xlsx(statistics)
