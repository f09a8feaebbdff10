"""One image for somebody who waits: nothing is stored."""

from __future__ import annotations

from typing import Any

from serve.work.images import Load, Rules, analyse_bytes
from serve.work.parameters import analysis_parameters, sample_parameters
from serve.work.tasks import NowDone, NowTask, Tell


def do_now(task: NowTask, *, rules: Rules, load: Load, tell: Tell) -> NowDone:
    """Analyse an image and give all its numbers.

    Returns
    -------
    NowDone
        ``record`` (as in ``summary.json``), ``sample`` (the summary with its preparation) and ``islets`` (rows).

    Raises
    ------
    InputError, NetworkError
        As `isletnet.analyse`; ``ParameterError`` also for a sample that cannot be.
    """
    from isletnet.analysis.summarise import numbers_of, pool
    from isletnet.exports.folder import image_record
    from isletnet.exports.records import to_plain

    result = analyse_bytes(task.content, task.name, task.parameters, 0, rules=rules, load=load, tell=tell)
    sample = sample_parameters(task.parameters, 0)
    pooled = pool(
        [numbers_of(result)],
        name=sample.sample_name or task.name,
        parameters=analysis_parameters(task.parameters, 0, default_network=rules.default_network),
        sample=sample,
    )
    rows: list[dict[Any, Any]] = result.table.to_dict(orient="records")
    answer = {"record": to_plain(image_record(result)), "sample": to_plain(pooled), "islets": to_plain(rows)}
    return NowDone(answer=answer)
