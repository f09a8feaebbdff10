"""A small service in memory that keeps the contract of the API, for the tests of its client."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

SUMMARY = {"images_n": 1, "islets_n": 2, "ieq_method": "sphere", "warnings": []} | {
    name: {"value": 2.0, "unit": "", "method": "", "interval": {"low": 1.0, "high": 3.0}}
    for name in ("ieq", "count", "purity_area")
}
TAR = bytes(range(256)) * 4000


class Memory:
    """All that outlives a restart."""

    def __init__(self, key: str | None = None) -> None:
        self.key = key
        self.requests: dict[str, dict[str, Any]] = {}
        self.ids: dict[str, str] = {}
        self.received: list[tuple[int, str, bytes]] = []
        self.later = 0
        self.confirmed = False
        self.ranges: list[int] = []

    def app(self) -> Starlette:
        routes = [
            Route("/api/requests", self.open, methods=["POST"]),
            Route("/api/requests", self.listed),
            Route("/api/requests/{id}", self.look),
            Route("/api/requests/{id}", self.delete, methods=["DELETE"]),
            Route("/api/requests/{id}/images/{k:int}", self.add, methods=["PUT"]),
            Route("/api/requests/{id}/images/{k:int}/labels", self.labels, methods=["PUT"]),
            Route("/api/requests/{id}/images/{k:int}/training", self.training, methods=["PUT"]),
            Route("/api/requests/{id}/submit", self.submit, methods=["POST"]),
            Route("/api/requests/{id}/cancel", self.cancel, methods=["POST"]),
            Route("/api/requests/{id}/events", self.events),
            Route("/api/requests/{id}/results", self.results),
            Route("/api/requests/{id}/{name:path}", self.file),
            Route("/api/analyse", self.analyse, methods=["POST"]),
            Route("/api/networks", self.networks),
            Route("/api/training/export", self.export),
            Route("/api/training/export/1/confirm", self.confirm, methods=["POST"]),
        ]
        return Starlette(routes=[Route(r.path, self.checked(r.endpoint), methods=list(r.methods)) for r in routes])

    def checked(self, answer: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
                return error(401, "unauthorized", "Nobody knows who calls.")
            if self.later:
                self.later -= 1
                return error(429, "too_many", "Later.", {"Retry-After": "1"})
            if "id" in request.path_params and request.path_params["id"] not in self.requests:
                return error(404, "not_found", "There is no such request.")
            made: Response = await answer(request)
            return made

        return endpoint

    def of(self, request: Request) -> dict[str, Any]:
        return self.requests[request.path_params["id"]]

    async def open(self, request: Request) -> Response:
        parameters = await request.json()
        if not set(parameters) <= {"sample_name", "um_per_px", "images"}:
            return error(422, "parameter_invalid", "Unknown.", field=next(iter(parameters)))
        new = f"{len(self.requests):032x}"
        request_id = self.ids.setdefault(request.headers.get("idempotency-key", new), new)
        status = {"request_id": request_id, "state": "draft", "parameters": parameters, "images": []}
        return JSONResponse(self.requests.setdefault(request_id, status), 201)

    async def add(self, request: Request) -> Response:
        content = b"".join([chunk async for chunk in request.stream()])
        number, name = request.path_params["k"], request.query_params["name"]
        self.received.append((number, name, content))
        image = {"number": number, "name": name, "sha256": hashlib.sha256(content).hexdigest()}
        image |= {"size_bytes": len(content)}
        self.of(request)["images"].append(image | {"state": "waiting"})
        return JSONResponse(image, 201)

    async def submit(self, request: Request) -> Response:
        self.of(request)["state"] = "queued"
        return JSONResponse(self.of(request), 202)

    async def look(self, request: Request) -> Response:
        return JSONResponse(self.of(request))

    async def listed(self, request: Request) -> Response:
        newest = list(self.requests.values())[::-1][: int(request.query_params["limit"])]
        return JSONResponse({"requests": newest, "next": None})

    async def cancel(self, request: Request) -> Response:
        self.of(request)["state"] = "cancelled"
        return JSONResponse(self.of(request))

    async def delete(self, request: Request) -> Response:
        self.of(request)["state"] = "deleted"
        return JSONResponse({}, 202)

    async def events(self, request: Request) -> Response:
        status = self.of(request)

        async def told() -> AsyncIterator[str]:
            last = ""
            while status["state"] in ("queued", "running"):
                now = json.dumps(status)
                if now != last:
                    yield f"event: status\ndata: {now}\n\n"
                last = now
                await asyncio.sleep(0.01)
            yield f"event: status\ndata: {json.dumps(status)}\n\nevent: end\ndata: {{}}\n\n"

        return StreamingResponse(told(), media_type="text/event-stream")

    async def results(self, request: Request) -> Response:
        request_id = request.path_params["id"]
        if self.of(request)["state"] != "done":
            return error(409, "conflict", "The request has not ended.")
        sample = {"name": "S", "images": [0], "summary": SUMMARY}
        version = {"version": 1, "image": 0, "actor": "local", "utc": "2026-11-24T09:00:00Z", "note": "n"}
        more = {"version": 1, "versions": [version], "images": [], "failed": []}
        return JSONResponse({"request_id": request_id, "samples": [sample], **more})

    async def file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name == "archive.zip":
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr("report.pdf", b"%PDF")
                archive.writestr("images/0/labels.tif", b"II*")
            return Response(packed.getvalue())
        if name == "islets.csv":
            return Response("image,number,area_px\n0,1,10\n0,2,12\n", media_type="text/csv")
        return Response(b"%PDF") if name == "report.pdf" else error(404, "not_found", "There is no such file.")

    async def labels(self, request: Request) -> Response:
        self.received.append((request.path_params["k"], request.query_params["kind"], await request.body()))
        return JSONResponse({"version": 1, "summary": SUMMARY})

    async def training(self, request: Request) -> Response:
        self.of(request)["images"][request.path_params["k"]]["training"] = (await request.json())["granted"]
        return JSONResponse({})

    async def analyse(self, request: Request) -> Response:
        async with request.form() as form:
            content = await form["image"].read()
            self.received.append((0, form["image"].filename, content))
            parameters = json.loads(form["parameters"])
        return JSONResponse({"record": parameters, "summary": SUMMARY, "islets": [{"number": 1, "area_px": 10}]})

    async def networks(self, request: Request) -> Response:
        return JSONResponse({"networks": [{"name": "islet-unet"}]})

    async def export(self, request: Request) -> Response:
        if self.confirmed:
            return error(410, "gone", "Everything was handed out.")
        start = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        self.ranges.append(start)
        return Response(TAR[start:], 206 if start else 200, {"X-Export-Number": "1"})

    async def confirm(self, request: Request) -> Response:
        self.confirmed = (await request.json())["sha256"] == hashlib.sha256(TAR).hexdigest()
        return JSONResponse({}) if self.confirmed else error(409, "conflict", "Another hash.")


def error(
    status: int, code: str, message: str, headers: dict[str, str] | None = None, field: str | None = None
) -> Response:
    told = {"code": code, "message": message, "field": field, "request_id": "call-1"}
    return JSONResponse({"error": told}, status, headers)
