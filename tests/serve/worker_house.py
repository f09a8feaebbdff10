"""A store and a worker in the process of the tests, with a network that knows colours only."""

import json
from pathlib import Path

from requests_at_work import Clock, submit

from isletnet.errors import NetworkError
from isletnet.networks.model import Network
from isletnet.settings import Settings
from isletnet.storage import verify
from isletnet.storage.backends.local import LocalStore
from isletnet.storage.layout import Outcome, Request
from isletnet.storage.records import load_outcome
from isletnet.storage.versions import files_of
from serve.work.tasks import Answer, Task
from serve.worker import do_here, process_one

# What is stored before a request ends; everything else is drawn when it is asked for.
IMAGE_FILES = {"labels.tif", "islets.tif", "islets.csv", "summary.json", "picture.jpg"}
FILES_FOR_ALL = {"results.json"}
DRAWN_OF_IMAGE, DRAWN_OF_ALL = (
    {"overlay.png", "rois.zip", "contours.geojson"},
    {"summary.csv", "results.xlsx", "report.pdf"},
)


class House:
    """A store and a worker in this process."""

    def __init__(self, folder: Path, network: Network) -> None:
        self.store, self.clock = LocalStore(folder), Clock()
        self.settings = Settings(store=str(folder), network="colour")
        self._network = network

    def load(self, name: str) -> Network:
        if name != "colour":
            raise NetworkError("there is no such network", subject=name)
        return self._network

    def submit(self, *contents: bytes, **parameters: object) -> Request:
        return submit(self.store, self.clock, list(contents), **parameters)

    def work(self) -> Outcome | None:
        clock = self.clock
        return process_one(self.store, self.settings, monotonic=clock.monotonic, now=clock.now, load=self.load)

    def ended(self, *contents: bytes, **parameters: object) -> tuple[str, Outcome]:
        request = self.submit(*contents, **parameters)
        outcome = self.work()
        assert outcome is not None
        assert outcome == load_outcome(self.store, request.request_id)
        return request.request_id, outcome

    def do(self, task: Task) -> Answer:
        return do_here(self.store, self.settings, task, now=self.clock.now, load=self.load)

    def results(self, request_id: str, version: int = 0) -> dict[str, list[dict[str, object]]]:
        key, _ = files_of(self.store, request_id, version)["results.json"]
        found: dict[str, list[dict[str, object]]] = json.loads(self.store.read(key))
        return found

    def problems(self) -> list[str]:
        found = verify.verify(self.store).problems
        return [problem.message for problem in found if problem.kind != "unfinished"]
