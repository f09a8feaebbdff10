"""Results with the files that are drawn when somebody first asks for one."""

from __future__ import annotations

from dataclasses import replace

from anyio import to_thread

from isletnet.errors import GoneError
from isletnet.storage.drawn import OF_IMAGE, Files, find_drawn, source_of
from isletnet.storage.store import Store
from serve.access.identity import Principal
from serve.doors.answers import wanted
from serve.doors.deps import Deps
from serve.doors.files import Results
from serve.work.job import MOST_TRIES
from serve.work.tasks import WORKER_LOST, Answer, Broken, DrawDone, DrawTask


async def with_file(deps: Deps, who: Principal, results: Results, path: str) -> Results:
    """Give results that hold a file, which is drawn now if that was not done before.

    Raises
    ------
    GoneError
        What it is drawn from was deleted by age.
    RefusedError, IsletnetError
        Like `serve.doors.answers.wanted`.
    """
    source = source_of(path)
    if path in results.files or source is None or source not in results.files:
        return results
    return await _with_drawn(deps, who, results, source)


async def with_all(deps: Deps, who: Principal, results: Results) -> Results:
    """Give results that hold all files; raises like `with_file`."""
    drawn = await with_file(deps, who, results, "report.pdf")

    def find() -> Files:
        sources = [path for path in drawn.files if path.endswith(f"/{OF_IMAGE}")]
        found = (find_drawn(deps.store, drawn.files, source) or {} for source in sources)
        return {path: file for files in found for path, file in files.items()}

    return replace(drawn, files={**await to_thread.run_sync(find), **drawn.files})


async def _with_drawn(deps: Deps, who: Principal, results: Results, source: str) -> Results:
    drawn = await to_thread.run_sync(_find, deps.store, results, source)
    if drawn is None:
        task = DrawTask(request_id=results.request.request_id, version=results.version, source=source)
        with deps.limits.answers.hold(who):
            wanted(await _asked(deps, task), DrawDone)
        drawn = await to_thread.run_sync(_find, deps.store, results, source)
    return replace(results, files={**results.files, **(drawn or {})})


async def _asked(deps: Deps, task: DrawTask) -> Answer:
    """Have it drawn; a worker that dies meanwhile leaves what it has drawn, and the next one goes on from there."""
    for _ in range(MOST_TRIES - 1):
        answer = await deps.ask(task)
        if not isinstance(answer, Broken) or answer.code != WORKER_LOST:
            return answer
    return await deps.ask(task)


def _find(store: Store, results: Results, source: str) -> Files | None:
    drawn = find_drawn(store, results.files, source)
    if drawn is None and not store.exists(results.files[source][0]):
        raise GoneError("this file was deleted by age")
    return drawn
