"""One image for somebody who waits: nothing is stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pydantic_core

from serve.work.images import Load, Rules, analyse_bytes
from serve.work.parameters import sample_parameters
from serve.work.tasks import NowDone, NowTask, Tell


def do_now(task: NowTask, *, rules: Rules, load: Load, tell: Tell) -> NowDone:
    """Analyse an image and give all its numbers: ``record`` as in ``summary.json``, ``summary`` with its preparation.

    Raises
    ------
    InputError, NetworkError
        As `isletnet.analyse`; ``ParameterError`` also for a sample that cannot be.
    """
    from isletnet.analysis.summarise import prepare
    from isletnet.exports.folder import image_record
    from isletnet.exports.records import to_plain

    content = task.content if isinstance(task.content, bytes) else task.content()
    result = analyse_bytes(content, task.name, task.parameters, 0, rules=rules, load=load, tell=tell)
    sample = sample_parameters(task.parameters, 0)
    summary = replace(prepare(result.summary, sample), name=sample.sample_name or task.name)
    columns: list[list[Any]] = [result.table[name].tolist() for name in result.table]
    rows = [dict(zip(result.table, row, strict=True)) for row in zip(*columns, strict=True)]
    record = to_plain(image_record(result))
    # Several times as fast as the writer of the standard library.
    told = pydantic_core.to_json({"record": record, "summary": to_plain(summary), "islets": to_plain(rows)})
    return NowDone(record=record, content=told)
