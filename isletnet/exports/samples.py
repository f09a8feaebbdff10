"""A sample: its pooled numbers, and the stored images that they come from."""

from __future__ import annotations

from dataclasses import dataclass

from isletnet.exports.folder import StoredImage
from isletnet.schemas import SampleParameters, Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A light record: pictures and tables stay in the images' folders, so hundreds of images fit in memory."""

    summary: Summary
    images: tuple[StoredImage, ...]
    parameters: SampleParameters = SampleParameters()
