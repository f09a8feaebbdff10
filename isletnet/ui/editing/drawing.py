"""A picture's labels under a person's hands: edits one after another, back and forth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isletnet.ui.editing.numbers import Numbers, Rules, areas, areas_after, numbers
from isletnet.ui.editing.regions import Patch

if TYPE_CHECKING:
    from collections.abc import Callable

    from isletnet.ui.editing.regions import Map

# Patches are small; that many pixels of large ones still fit a page's memory.
_MOST_STEPS_N = 200
_MOST_PATCH_PX = 15_000_000


class Drawing:
    """Holds a map of its own, the edits that were made to it, and those that were taken back.

    Parameters
    ----------
    codes
        See `regions`; it is copied.
    rules
        How the numbers are counted.
    """

    def __init__(self, codes: Map, rules: Rules) -> None:
        self._codes = codes.copy()
        self._rules = rules
        self._areas_px = areas(codes)
        self._done: list[Patch] = []
        self._undone: list[Patch] = []
        self._steps_n, self._saved_n = 0, 0

    @property
    def codes(self) -> Map:
        """The map as it is now, read only."""
        view = self._codes.view()
        view.flags.writeable = False
        return view

    @property
    def numbers(self) -> Numbers:
        """The numbers as they are now."""
        return numbers(self._areas_px, self._codes, self._rules)

    @property
    def undo_n(self) -> int:
        """How many edits can be taken back."""
        return len(self._done)

    @property
    def redo_n(self) -> int:
        """How many edits that were taken back can be made again."""
        return len(self._undone)

    @property
    def is_saved(self) -> bool:
        """Whether the map is as it was opened or saved last."""
        return self._steps_n == self._saved_n

    def area_px(self, number: int) -> int:
        """Pixels of an islet; 0 when there is none of that number."""
        return int(self._areas_px[number])

    def edit(self, make: Callable[[Map], Patch]) -> Patch | None:
        """Make an edit; None when it changes nothing."""
        patch = make(self.codes)
        if not patch.changes:
            return None
        if self._saved_n > self._steps_n:
            # What was saved can no longer be reached by going forth.
            self._saved_n = -1
        self._put(patch)
        self._steps_n += 1
        self._undone = []
        self._done = _recent([*self._done, patch])
        return patch

    def undo(self) -> Patch | None:
        """Take the last edit back; None when there is none."""
        if not self._done:
            return None
        patch = self._done.pop()
        self._undone.append(patch)
        self._steps_n -= 1
        back = Patch(box=patch.box, before=patch.after, after=patch.before)
        self._put(back)
        return back

    def redo(self) -> Patch | None:
        """Make the edit again that was taken back last; None when there is none."""
        if not self._undone:
            return None
        patch = self._undone.pop()
        self._done.append(patch)
        self._steps_n += 1
        self._put(patch)
        return patch

    def saved(self) -> None:
        """Note that the map is safe as it is now."""
        self._saved_n = self._steps_n

    def _put(self, patch: Patch) -> None:
        self._areas_px = areas_after(self._areas_px, patch)
        self._codes[patch.box] = patch.after


def _recent(patches: list[Patch]) -> list[Patch]:
    kept: list[Patch] = []
    pixels_n = 0
    for patch in reversed(patches[-_MOST_STEPS_N:]):
        pixels_n += patch.after.size
        if kept and pixels_n > _MOST_PATCH_PX:
            break
        kept.append(patch)
    return kept[::-1]
