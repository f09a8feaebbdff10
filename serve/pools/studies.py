"""Steps of a pipeline of studies as tasks of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

import ray

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class RayPool(Executor):
    """Run each function as a task with one processor.

    The cluster's machines must have isletnet installed and share the folders that the steps read and write.

    Parameters
    ----------
    address
        Of a running cluster, such as ``127.0.0.1:6379``, or ``local`` for one of its own.
    """

    def __init__(self, address: str) -> None:
        ray.init(address=address, log_to_driver=False, include_dashboard=False if address == "local" else None)

    def submit(
        self, fn: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """Start a task."""
        task: Any = ray.remote(num_cpus=1, max_retries=2)(fn)
        found: Future[Result] = task.remote(*args, **kwargs).future()
        return found

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster."""
        ray.shutdown()
