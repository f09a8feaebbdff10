"""What the canvas asks for, and what it hears."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isletnet.errors import ParameterError
from isletnet.ui.editing import commands
from isletnet.ui.editing.drawing import Drawing
from isletnet.ui.editing.numbers import Rules


def drawing() -> Drawing:
    codes = np.zeros((60, 80), np.uint16)
    codes[10:30, 10:30] = 2
    codes[10:30, 32:50] = 3
    codes[40:50, 10:30] = 1
    return Drawing(codes, Rules(um_per_px=2.0))


def line(*points: tuple[float, float]) -> list[bytes]:
    return [np.array(points, "<f4").tobytes()]


def ask(on: Drawing, *points: tuple[float, float], **message: Any) -> commands.Reply:
    return commands.change(on, {"kind": "edit", **message}, line(*points) if points else [])


def numbers_in(reply: commands.Reply) -> list[int]:
    return [head[0] for head in reply.content["heads"]]


def points_in(reply: commands.Reply) -> NDArray[np.float32]:
    return np.frombuffer(reply.buffers[0], "<f4").reshape(-1, 2)


def test_all_is_told_at_first() -> None:
    reply = commands.everything(drawing())
    assert numbers_in(reply) == [2, 3]
    assert (reply.content["undo_n"], reply.content["redo_n"], reply.content["is_saved"]) == (0, 0, True)
    assert sum(sum(head[1:]) for head in reply.content["heads"]) == len(points_in(reply))
    assert reply.buffers[1].startswith(b"\x89PNG")


def test_only_what_changed_is_told() -> None:
    on = drawing()
    reply = ask(on, tool="delete", numbers=[3])
    assert (numbers_in(reply), reply.content["gone"], reply.content["undo_n"]) == ([], [3], 1)
    assert reply.content["said"] == "1 islet deleted"
    assert len(reply.buffers) == 1
    back = commands.change(on, {"kind": "undo"}, [])
    assert (numbers_in(back), back.content["gone"], back.content["redo_n"]) == ([3], [], 1)
    again = commands.change(on, {"kind": "redo"}, [])
    assert again.content["gone"] == [3]
    assert not commands.change(on, {"kind": "redo"}, []).buffers


def test_each_tool_does_its_work() -> None:
    on = drawing()
    assert numbers_in(ask(on, (20, 5), (20, 35), tool="split")) == [2, 4]
    assert numbers_in(ask(on, tool="merge", numbers=[2, 4])) == [2]
    assert numbers_in(ask(on, tool="merge", numbers=[2, 3])) == [2]
    assert numbers_in(ask(on, (60, 10), (70, 10), (70, 20), (60, 20), tool="add")) == [3]
    assert numbers_in(ask(on, (55, 5), (75, 5), (75, 25), (55, 25), tool="redraw", numbers=[3])) == [3]
    assert on.area_px(3) == 400
    assert ask(on, (65, 15), tool="erase", radius_px=3.0).content["said"] == "Erased"
    assert on.area_px(3) < 400
    tissue = ask(on, (60, 40), (70, 40), (70, 50), tool="add_tissue")
    assert len(tissue.buffers) == 2
    turned = ask(on, tool="tissue", numbers=[3])
    assert (turned.content["gone"], len(turned.buffers)) == ([3], 2)


def test_tissue_is_looked_at_turned_and_deleted() -> None:
    on = drawing()
    seen = commands.look(on, {"kind": "look", "point": [20, 45]})
    assert points_in(seen).min(axis=0).tolist() == pytest.approx([10, 40], abs=0.6)
    assert commands.look(on, {"kind": "look", "point": [1, 1]}).content["heads"] == []
    assert numbers_in(ask(on, tool="islet", point=[20, 45])) == [4]
    commands.change(on, {"kind": "undo"}, [])
    ask(on, tool="delete", point=[20, 45])
    assert on.numbers.exocrine_area_px == 0


def test_what_does_nothing_says_so() -> None:
    on = drawing()
    assert "right across" in ask(on, (1, 1), (1, 9), tool="split").content["said"]
    assert "nothing to erase" in ask(on, (70, 55), tool="erase", radius_px=2).content["said"]
    assert ask(on, (1, 1), (2, 2), tool="add").content["said"] == "Draw around it."
    assert "two islets" in ask(on, tool="merge", numbers=[2]).content["said"]
    assert on.undo_n == 0


@pytest.mark.parametrize(
    ("message", "points", "words"),
    [
        ({"tool": "delete", "numbers": [77]}, [], "not there"),
        ({"tool": "delete", "numbers": [1]}, [], "Select an islet"),
        ({"tool": "tissue"}, [], "Select an islet"),
        ({"tool": "redraw"}, [(1, 1), (9, 1), (9, 9)], "Select an islet"),
        ({"tool": "add"}, [(float("nan"), 1), (9, 1), (9, 9)], "could not be drawn"),
        ({"tool": "erase"}, [], "could not be drawn"),
        ({"tool": "paint"}, [(1, 1), (9, 1), (9, 9)], "tool of the editor"),
        ({"tool": "islet", "point": [1, 1]}, [], "no exocrine"),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    message: dict[str, Any], points: list[tuple[float, float]], words: str
) -> None:
    on = drawing()
    before = on.codes.copy()
    with pytest.raises(ParameterError, match=words):
        ask(on, *points, **message)
    np.testing.assert_array_equal(on.codes, before)
