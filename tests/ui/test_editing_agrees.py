"""What the editor counts at once is what the service counts later, of labels sent as they were drawn."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from colour_network import write_colour_network

from isletnet.analysis.pipeline import analyse
from isletnet.analysis.remeasure import remeasure
from isletnet.errors import ParameterError
from isletnet.networks.model import load_network
from isletnet.schemas import AnalysisParameters, ImageResult
from isletnet.ui.editing import regions
from isletnet.ui.editing.drawing import Drawing
from isletnet.ui.editing.numbers import rules_of
from tests.serve.requests_at_work import picture


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> ImageResult:
    folder = write_colour_network(tmp_path_factory.mktemp("networks") / "colour")
    network = load_network(str(folder), engine="openvino")
    parameters = AnalysisParameters(network="colour", uncertainty="none", smallest_islet_um=40.0, border="exclude")
    return analyse(picture(), name="dish", um_per_px=2.0, load=lambda _: network, parameters=parameters)


def test_edits_count_as_the_analysis_does(found: ImageResult) -> None:
    record = {"summary": asdict(found.summary), "provenance": asdict(found.provenance)}
    drawing = Drawing(regions.as_map(found.labelled.classes, found.labelled.islets), rules_of(record))
    top, left = (int(side[0]) for side in np.nonzero(drawing.codes == 2))
    middle = float(np.argwhere(drawing.codes == 2)[:, 1].mean())
    before_n = drawing.numbers.islets_n
    assert before_n == found.summary.count.value
    drawing.edit(lambda now: regions.split(now, np.array([[middle, top - 5.0], [middle + 1, top + 400.0]])))
    square = np.array([[5.0, 5], [5, 30], [40, 30], [40, 5]])
    drawing.edit(lambda now: regions.added(now, square + [left * 0, 0], tissue=True))
    drawing.edit(lambda now: regions.added(now, square + [60, 3]))
    after = remeasure(found, drawing.codes, kind="regions", corrected_by="ann", version=1)
    told = drawing.numbers
    assert after.labelled.islets_n == found.labelled.islets_n + 2
    assert told.islets_n == after.summary.count.value
    assert told.ieq == pytest.approx(after.summary.ieq_by_method["sphere"].value)
    assert told.purity_fraction == pytest.approx(after.summary.purity_area.value)
    assert (told.islet_area_px, told.exocrine_area_px) == (after.summary.islet_area_px, after.summary.exocrine_area_px)
    np.testing.assert_array_equal(regions.as_map(after.labelled.classes, after.labelled.islets) > 0, drawing.codes > 0)


def test_regions_that_cannot_be_are_refused(found: ImageResult) -> None:
    with pytest.raises(
        ParameterError, match="from 2 to at most 2147483647, 1 exocrine, 0 for none; came numbers from -1"
    ):
        remeasure(found, np.full(found.micrograph.shape_px, -1), kind="regions", corrected_by="ann", version=1)
