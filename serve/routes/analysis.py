"""What is answered at once: one image, the networks, a sample across requests."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from fastapi import APIRouter, Request, Response

from isletnet.errors import NetworkError
from isletnet.networks.catalogue import find_network, network_names
from serve.doors.answers import wanted
from serve.doors.deps import TheDeps, Who
from serve.doors.samples import pooled_sample
from serve.doors.types import AnalysisAnswer, Network, NetworkList, SampleAnswer
from serve.intake.forms import image_form
from serve.intake.requests import check_parameters
from serve.intake.uploads import Body
from serve.statistics.events import done_image
from serve.work.tasks import NowDone, NowTask

router = APIRouter(prefix="/api", tags=["analysis"])

_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "parameters": {"type": "string", "description": "RequestParameters as JSON"},
                        "image": {"type": "string", "format": "binary"},
                    },
                    "required": ["image"],
                }
            }
        },
    }
}
# What of a network's card concerns those who choose one.
_CARD = (
    "description",
    "classes",
    "metrics",
    "training",
    "parent",
    "thresholds",
    "second_opinion",
    "known_relative_error",
)


@router.post("/analyse", openapi_extra=_FORM, response_model=AnalysisAnswer)
async def analyse(request: Request, who: Who, deps: TheDeps) -> Response:
    """Analyse one image and answer with all its numbers; nothing of it is stored."""
    who.require("submit")
    body = Body(request, who, deps)
    # Counted until the answer is there, for so long is the image in memory.
    with deps.limits.upload(who, body.announced_bytes) as upload:
        content, name, parameters = await body.in_thread(partial(image_form, deps, body, upload.count))
        check_parameters(parameters)
        with deps.limits.answers.hold(who):
            done = wanted(await deps.ask(NowTask(content=content, name=name, parameters=parameters)), NowDone)
    one = done_image(0, done.record)
    request.state.noted = {"images": {one.network: 1}, "megapixels": one.megapixels, "warnings": one.warnings}
    return Response(done.content, media_type="application/json")


@router.get("/networks")
def networks(who: Who, deps: TheDeps) -> NetworkList:
    """List the networks that a request may name."""
    cards = []
    for name in network_names():
        # The status tells of damaged ones.
        with suppress(NetworkError):
            cards.append(find_network(name))
    return NetworkList(
        networks=tuple(
            Network(
                name=card.name,
                version=card.version,
                weights_sha256=card.weights_sha256,
                working_um_per_px=card.working_um_per_px,
                is_default=card.name == deps.settings.network,
                card={key: card.content[key] for key in _CARD if key in card.content},
            )
            for card in cards
        )
    )


# A name may have slashes.
@router.get("/samples/{name:path}")
def sample(name: str, who: Who, deps: TheDeps) -> SampleAnswer:
    """Pool the images of one sample from all requests of the caller."""
    who.require("read")
    return pooled_sample(deps.store, who.name, name, default_network=deps.settings.network)
