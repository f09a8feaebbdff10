"""What a sender may choose for a request and for each of its images, and what the library makes of it."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from isletnet.schemas import CRITERION_QUANTITIES, AnalysisParameters, Criterion, SampleParameters


def _checked_quantity(name: str) -> str:
    if name not in CRITERION_QUANTITIES:
        raise ValueError(f"expected one of {', '.join(CRITERION_QUANTITIES)}")
    return name


Text = Annotated[str, Field(max_length=200)]
Quantity = Annotated[
    str, AfterValidator(_checked_quantity), Field(json_schema_extra={"enum": list(CRITERION_QUANTITIES)})
]
Positive = Annotated[float, Field(gt=0, lt=1e9, allow_inf_nan=False)]


class CriterionParameters(BaseModel):
    """One release criterion, see `isletnet.schemas.Criterion`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text
    quantity: Quantity
    comparison: Literal[">=", "<="]
    limit: Annotated[float, Field(allow_inf_nan=False)]
    unit: Text


class ImageParameters(BaseModel):
    """What may be given for one image; what is absent comes from the request, then from the defaults.

    Images with the same ``sample_name`` are one sample. ``aliquot`` tells which images are fields of one sampled
    volume (they add up); different aliquots are replicates (they are averaged).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")] | None = None
    um_per_px: Annotated[float, Field(gt=0.01, lt=200, allow_inf_nan=False)] | None = None
    smallest_islet_um: Positive | None = None
    smallest_particle_um: Positive | None = None
    split_touching: bool | None = None
    border: Literal["count", "exclude"] | None = None
    ieq_method: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")] | None = None
    uncertainty: Literal["networks", "flips", "none"] | None = None
    confidence_level: Annotated[float, Field(gt=0.5, lt=1)] | None = None
    sample_name: Text | None = None
    aliquot: Text | None = None
    sample_volume_ul: Positive | None = None
    dilution_factor: Annotated[float, Field(ge=1, lt=1e9, allow_inf_nan=False)] | None = None
    preparation_volume_ml: Positive | None = None
    recipient_kg: Positive | None = None
    pancreas_g: Positive | None = None
    settled_tissue_ml: Positive | None = None
    viability_fraction: Annotated[float, Field(ge=0, le=1)] | None = None
    endotoxin_eu_per_ml: Annotated[float, Field(ge=0, lt=1e9, allow_inf_nan=False)] | None = None
    consent: bool | None = None


class RequestParameters(ImageParameters):
    """What may be given for a request: for all its images, and for single ones by their number.

    ``consent`` gives images for training, with ``consent_text`` the wording that was agreed to. ``mail_to`` gets a
    mail at the end.
    """

    criteria: Annotated[tuple[CriterionParameters, ...], Field(max_length=30)] | None = None
    consent_text: Annotated[str, Field(max_length=2000)] = ""
    mail_to: Annotated[str, Field(max_length=254)] | None = None
    images: dict[Annotated[int, Field(ge=0, lt=1000)], ImageParameters] = {}


def of_image(parameters: RequestParameters, number: int) -> dict[str, Any]:
    """Join what holds for one image: its own values over those of the request; absent ones are left out."""
    shared = parameters.model_dump(exclude_none=True, exclude={"images", "mail_to", "consent_text", "criteria"})
    own = parameters.images.get(number, ImageParameters()).model_dump(exclude_none=True)
    return {**shared, **own}


def analysis_parameters(parameters: RequestParameters, number: int, *, default_network: str) -> AnalysisParameters:
    """Give what the library needs to analyse one image."""
    chosen = {"network": default_network, **of_image(parameters, number)}
    return AnalysisParameters(**{f.name: chosen[f.name] for f in fields(AnalysisParameters) if f.name in chosen})


def sample_parameters(parameters: RequestParameters, number: int) -> SampleParameters:
    """Give what is known of the sample that an image belongs to."""
    chosen = of_image(parameters, number)
    known = {f.name: chosen[f.name] for f in fields(SampleParameters) if f.name in chosen}
    criteria = tuple(Criterion(**one.model_dump()) for one in parameters.criteria or ())
    return SampleParameters(**known, criteria=criteria)
