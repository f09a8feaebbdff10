"""Results on disk that several tests read."""

from pathlib import Path

import pytest
from sample_results import drawn_result, empty_result, pooled

from isletnet.exports.folder import StoredImage, read_image, write_image
from isletnet.exports.samples import Sample
from isletnet.schemas import ImageResult, QualityWarning, SampleParameters

CZECH_NAME = "Šťastný Ľubomír Ďuračka, ôäŕ αβΩ"
FORMULA_NAME = "=cmd|'/c calc'!A1"


@pytest.fixture(scope="session")
def result() -> ImageResult:
    blurred = QualityWarning(code="out_of_focus", message="The picture is out of focus.", severity="severe")
    return drawn_result(name=FORMULA_NAME, warnings=(blurred,))


@pytest.fixture(scope="session")
def stored(result: ImageResult, tmp_path_factory: pytest.TempPathFactory) -> StoredImage:
    folder: Path = tmp_path_factory.mktemp("stored") / "drawn"
    write_image(result, folder)
    return read_image(folder)


@pytest.fixture(scope="session")
def samples(
    result: ImageResult, stored: StoredImage, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Sample, Sample]:
    """A named preparation of two images, and a lone image whose name looks like a formula."""
    nothing = empty_result()
    folder: Path = tmp_path_factory.mktemp("stored") / "nothing"
    write_image(nothing, folder)
    parameters = SampleParameters(
        sample_volume_ul=100.0, preparation_volume_ml=250.0, recipient_kg=70.0, viability_fraction=0.9
    )
    preparation = pooled([result, nothing], name=CZECH_NAME, sample=parameters)
    return (
        Sample(summary=preparation, images=(stored, read_image(folder)), parameters=parameters),
        Sample(summary=result.summary, images=(stored,)),
    )
