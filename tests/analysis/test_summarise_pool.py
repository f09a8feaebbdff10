"""Several images of one sample: fields, replicates, the preparation and its criteria."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from islet_tables import class_picture, islet_table, numbers

from isletnet.analysis.summarise import criteria_quantities, flat_row, numbers_of, pool, prepare, summarise_image
from isletnet.errors import ParameterError
from isletnet.schemas import (
    AnalysisParameters,
    Calibration,
    Criterion,
    Disagreement,
    ImageResult,
    LabelledIslets,
    Micrograph,
    NetworkIdentity,
    Provenance,
    QualityWarning,
    SampleParameters,
)

COUNT = AnalysisParameters()
SAMPLE = SampleParameters(sample_volume_ul=100.0, preparation_volume_ml=250.0, recipient_kg=70.0)
fields = st.lists(st.lists(st.floats(20.0, 450.0), max_size=12), min_size=1, max_size=5)
laws = settings(max_examples=20, derandomize=True, deadline=None)


def apart(ieq: float, count: float = 0.0) -> Disagreement:
    return Disagreement(
        members=("a", "b"), ieq_relative=ieq, count_relative=count, islet_area_relative=0.0, exocrine_area_relative=0.0
    )


def replicates(*ieq: int, **details) -> list:
    """Images of many 150 um islets, each image an aliquot of its own."""
    return [
        numbers(np.full(count, 150.0), um_per_px=10.0, name=f"{row}", aliquot=f"{row}", **details)
        for row, count in enumerate(ieq)
    ]


def test_the_worked_preparation():
    """180 and 200 IEQ in 100 uL of 250 mL, 70 kg (domain facts, section 5)."""
    found = pool(replicates(180, 200), name="p", parameters=COUNT, sample=SAMPLE)
    whole = found.preparation
    assert whole.total_ieq.value == pytest.approx(475_000.0)
    assert whole.total_islets.value == pytest.approx(475_000.0)
    assert whole.ieq_per_kg.value == pytest.approx(6_786.0, abs=0.5)
    assert whole.replicate_cv_fraction == pytest.approx(0.074, abs=0.0005)
    assert whole.replicates_n == 2
    assert whole.islet_volume_ul.value == pytest.approx(475_000 * math.pi * 150**3 / 6 / 1e9)
    assert whole.ieq_per_g_pancreas is None
    assert found.ieq.value == pytest.approx(380.0)
    # The interval of the preparation is that of the 380 islets counted: equal sizes, so 1/sqrt(380).
    assert math.log(whole.total_ieq.interval.high / 475_000) == pytest.approx(1.963 / math.sqrt(380), rel=0.001)
    assert "mean of 2 aliquot(s) of 100 uL, times 250 mL, times dilution 1" in whole.total_ieq.method


def test_fields_add_up_and_replicates_are_averaged():
    as_replicates = replicates(180, 200)
    as_fields = [dataclasses.replace(image, aliquot="") for image in as_replicates]
    averaged, added = (pool(images, name="p", parameters=COUNT, sample=SAMPLE) for images in (as_replicates, as_fields))
    assert added.preparation.total_ieq.value == pytest.approx(2.0 * averaged.preparation.total_ieq.value)
    assert (added.preparation.replicates_n, added.preparation.replicate_cv_fraction) == (1, None)
    assert added.ieq == averaged.ieq


def test_fields_of_two_replicates():
    images = [
        dataclasses.replace(image, aliquot="ab"[row // 2]) for row, image in enumerate(replicates(90, 90, 0, 200))
    ]
    whole = pool(images, name="p", parameters=COUNT, sample=SAMPLE).preparation
    assert whole.total_ieq.value == pytest.approx(475_000.0)
    assert whole.replicate_cv_fraction == pytest.approx(20 / (math.sqrt(2) * 190))


def test_dilution_multiplies_and_pancreas_divides():
    sample = dataclasses.replace(SAMPLE, dilution_factor=2.0, pancreas_g=95.0)
    whole = pool(replicates(180, 200), name="p", parameters=COUNT, sample=sample).preparation
    assert whole.total_ieq.value == pytest.approx(950_000.0)
    assert whole.ieq_per_g_pancreas.value == pytest.approx(10_000.0)


def test_an_empty_replicate_counts():
    whole = pool(replicates(100, 0), name="p", parameters=COUNT, sample=SAMPLE).preparation
    assert whole.total_ieq.value == pytest.approx(125_000.0)
    assert pool(replicates(0, 0), name="p", parameters=COUNT, sample=SAMPLE).preparation.replicate_cv_fraction is None


def test_replicates_that_differ_beyond_chance_are_told():
    codes = {
        counts: [
            warning.code for warning in pool(replicates(*counts), name="p", parameters=COUNT, sample=SAMPLE).warnings
        ]
        for counts in ((180, 200), (100, 200))
    }
    # Equal islets are plain Poisson: (180 - 200)^2 / 380 = 1.05 is chance, (100 - 200)^2 / 300 = 33 is not.
    assert codes == {(180, 200): [], (100, 200): ["replicates_differ"]}


def test_without_volumes_or_calibration_the_preparation_is_unknown():
    assert pool(replicates(9), name="p", parameters=COUNT, sample=SampleParameters()).preparation is None
    image = numbers([100.0] * 4, um_per_px=None, exocrine_volume_um3=None)
    found = pool([image, image], name="p", parameters=COUNT, sample=SAMPLE)
    assert found.preparation.total_ieq.value is None
    assert found.preparation.ieq_per_kg.value is None
    assert found.preparation.total_islets.value == pytest.approx(8 * 2500)
    assert [result.passed for result in found.criteria] == [None] * 5


def test_default_criteria_are_judged_where_the_preparation_is_known():
    sample = dataclasses.replace(SAMPLE, viability_fraction=0.7, settled_tissue_ml=16.0)
    found = pool(replicates(180, 200), name="p", parameters=COUNT, sample=sample)
    judged = {result.criterion.quantity: (result.value, result.passed) for result in found.criteria}
    assert judged["ieq_per_kg"] == (pytest.approx(6_785.7, abs=0.1), True)
    assert judged["viability_fraction"] == (0.7, True)
    assert judged["ieq_per_ml_settled_tissue"] == (pytest.approx(29_687.5), True)
    assert judged["settled_tissue_ml"] == (16.0, False)
    assert judged["endotoxin_eu_per_kg"] == (None, None)
    row = flat_row(found)
    assert [row[f"criteria_{kind}_n"] for kind in ("passed", "failed", "unknown")] == [3, 1, 1]
    assert row["preparation_ieq"] == pytest.approx(475_000.0)
    assert pool(replicates(9), name="p", parameters=COUNT, sample=SampleParameters(sample_name="p")).criteria == ()


def test_endotoxin_is_what_the_recipient_gets_with_the_whole_suspension():
    found = pool(replicates(9), name="p", parameters=COUNT, sample=SAMPLE)
    sample = dataclasses.replace(SAMPLE, endotoxin_eu_per_ml=0.5)
    # 250 mL with 0.5 EU/mL each for 70 kg.
    assert criteria_quantities(found, sample)["endotoxin_eu_per_kg"] == pytest.approx(1.785714, abs=1e-6)
    without_weight = dataclasses.replace(sample, recipient_kg=None)
    assert criteria_quantities(found, without_weight)["endotoxin_eu_per_kg"] is None


def test_own_criteria_replace_the_default_ones():
    own = Criterion(name="Purity", quantity="purity_area_fraction", comparison=">=", limit=0.3, unit="fraction")
    sample = SampleParameters(criteria=(own,))
    found = pool(replicates(9), name="p", parameters=COUNT, sample=sample)
    assert [(result.criterion, result.value, result.passed) for result in found.criteria] == [(own, 1.0, True)]
    assert criteria_quantities(found, sample)["islets_n"] == 9.0
    wrong = dataclasses.replace(own, quantity="purity")
    with pytest.raises(ParameterError, match="purity_area_fraction") as caught:
        pool(replicates(9), name="p", parameters=COUNT, sample=SampleParameters(criteria=(wrong,)))
    assert caught.value.subject == "Purity"


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_volume_ul": 0.0},
        {"preparation_volume_ml": -1.0},
        {"dilution_factor": math.nan},
        {"recipient_kg": math.inf},
        {"pancreas_g": 0.0},
        {"settled_tissue_ml": 0.0},
        {"viability_fraction": 85.0},
        {"endotoxin_eu_per_ml": -0.1},
        {"criteria": (Criterion(name="criteria", quantity="ieq", comparison="=", limit=1.0, unit=""),)},
        {"criteria": (Criterion(name="criteria", quantity="ieq", comparison=">=", limit=math.nan, unit=""),)},
    ],
)
def test_what_a_sample_cannot_be_is_refused_by_name(wrong):
    with pytest.raises(ParameterError) as caught:
        pool(replicates(9), name="p", parameters=COUNT, sample=SampleParameters(**wrong))
    assert caught.value.subject == next(iter(wrong))


@laws
@given(fields)
def test_summaries_of_disjoint_tables_add(diameters_um):
    images = [numbers(one, name=str(row), exocrine_parts_px=[100 * row]) for row, one in enumerate(diameters_um)]
    whole = pool(images, name="p", parameters=COUNT)
    alone = [pool([image], name="p", parameters=COUNT) for image in images]
    for number in ("islets_n", "small_particles_n", "oversize_islets_n", "islet_area_px", "exocrine_area_px"):
        assert getattr(whole, number) == sum(getattr(one, number) for one in alone)
    assert whole.image_area_mm2 == pytest.approx(sum(one.image_area_mm2 for one in alone))
    for method, number in whole.ieq_by_method.items():
        assert number.value == pytest.approx(sum(one.ieq_by_method[method].value for one in alone))
    for row, _ in enumerate(whole.size_classes):
        assert whole.size_classes[row].islets_n == sum(one.size_classes[row].islets_n for one in alone)
    purities = [one.purity_area.value for one in alone if one.purity_area.value is not None]
    if purities:
        assert min(purities) - 1e-12 <= whole.purity_area.value <= max(purities) + 1e-12
    turned = flat_row(pool(images[::-1], name="p", parameters=COUNT))
    assert {key: value for key, value in turned.items() if isinstance(value, float)} == pytest.approx(
        {key: value for key, value in flat_row(whole).items() if isinstance(value, float)}
    )


def test_purity_pools_areas_and_not_percentages():
    islet_px = round(math.pi * 50**2)
    images = [numbers([100.0], exocrine_parts_px=[parts]) for parts in (200, 40_000)]
    pooled = pool(images, name="p", parameters=COUNT).purity_area.value
    assert pooled == pytest.approx(2 * islet_px / (2 * islet_px + 40_200))
    assert pooled < np.mean([islet_px / (islet_px + parts) for parts in (200, 40_000)]) - 0.1


def test_pooled_purity_weighs_by_real_area():
    fine = numbers([100.0], um_per_px=1.0, exocrine_parts_px=[10_000])
    coarse = numbers([400.0], um_per_px=4.0, exocrine_parts_px=[10_000])
    found = pool([fine, coarse], name="p", parameters=COUNT)
    islet_um2 = round(math.pi * 50**2) * (1 + 16)
    assert found.purity_area.value == pytest.approx(islet_um2 / (islet_um2 + 10_000 * (1 + 16)))
    assert found.image_area_mm2 == pytest.approx(1024**2 * (1 + 16) / 1e6)
    assert found.um_per_px == pytest.approx(math.sqrt(8.5))


def test_one_image_pooled_is_the_summary_of_the_image():
    table = islet_table([60.0, 150.0, 30.0])
    classes = class_picture(5000, [300, 900])
    warning = QualityWarning(code="focus", message="soft")
    details = {"disagreement": apart(0.1), "warnings": (warning,), "exocrine_volume_um3": 7.0e5}
    alone = summarise_image(table, name="a", classes=classes, um_per_px=1.5, parameters=COUNT, **details)
    result = ImageResult(
        micrograph=Micrograph(
            name="a",
            pixels=np.zeros((*classes.shape, 3), dtype=np.uint8),
            calibration=Calibration(um_per_px=1.5, source="caller"),
            sha256="0",
            file_format="PNG",
        ),
        calibration=Calibration(um_per_px=1.5, source="caller"),
        labelled=LabelledIslets(classes=classes, islets=np.zeros(classes.shape, dtype=np.int32), islets_n=0),
        table=table,
        summary=alone,
        disagreement=details["disagreement"],
        provenance=Provenance(
            package_version="0",
            image_sha256="0",
            network=NetworkIdentity(name="n", version="1", weights_sha256="0", engine="e", precision="f32"),
            parameters={},
        ),
    )
    assert pool([numbers_of(result)], name="a", parameters=COUNT) == alone
    whole = SampleParameters(sample_volume_ul=50.0, preparation_volume_ml=200.0, recipient_kg=60.0)
    for sample in (SampleParameters(), whole):
        assert pool([numbers_of(result)], name="a", parameters=COUNT, sample=sample) == prepare(alone, sample)
    guess = dataclasses.replace(result, calibration=Calibration(um_per_px=1.5, source="guess"))
    assert pool([numbers_of(guess)], name="a", parameters=COUNT).ieq.value is None


def test_a_sample_is_calibrated_or_not():
    images = [numbers([100.0]), numbers([100.0], um_per_px=None, name="unknown.tif")]
    with pytest.raises(ParameterError, match="1 of 2 have no pixel size") as caught:
        pool(images, name="p", parameters=COUNT)
    assert caught.value.subject == "unknown.tif"
    with pytest.raises(ParameterError, match="at least one image"):
        pool([], name="p", parameters=COUNT)


def test_unknown_exocrine_volume_is_not_taken_for_none():
    known = numbers([100.0], exocrine_parts_px=[900], exocrine_volume_um3=1e6)
    unknown = numbers([100.0], exocrine_parts_px=[900], exocrine_volume_um3=None)
    bare = numbers([100.0], exocrine_volume_um3=None)
    assert pool([known, unknown], name="p", parameters=COUNT).purity_volume.value is None
    volume_um3 = 2 * math.pi * 100**3 / 6
    assert pool([known, bare], name="p", parameters=COUNT).purity_volume.value == pytest.approx(
        volume_um3 / (volume_um3 + 1e6)
    )


def test_network_errors_of_the_images_add_up_in_full():
    images = [
        numbers([150.0] * 30, disagreement=apart(0.1, 0.2)),
        numbers([150.0] * 10, disagreement=apart(0.3, 0.6)),
        numbers([], disagreement=apart(math.nan, math.nan)),
    ]
    found = pool(images, name="p", parameters=COUNT)
    # (30 * 0.1 + 10 * 0.3) / 40 = 0.15
    assert math.log(found.ieq.segmentation.high / 40) == pytest.approx(
        1.95996 * math.sqrt(math.log1p(0.15**2)), rel=1e-4
    )
    assert math.log(found.count.segmentation.high / 40) == pytest.approx(
        1.95996 * math.sqrt(math.log1p(0.3**2)), rel=1e-4
    )
    assert pool([images[0], numbers([150.0])], name="p", parameters=COUNT).ieq.segmentation is None


def test_each_kind_of_warning_is_told_once():
    def blurred(severity, blur):
        return QualityWarning(code="focus", message="soft", severity=severity, evidence={"blur": blur})

    images = [
        numbers([], name="a", warnings=(blurred("info", 1.0),)),
        numbers([], name="b", warnings=(blurred("severe", 9.0), QualityWarning(code="clipped", message="white"))),
        numbers([], name="c"),
    ]
    focus, clipped = pool(images, name="p", parameters=COUNT).warnings
    assert (focus.code, focus.severity) == ("focus", "severe")
    assert focus.message == "2 of 3 images, for one b: soft"
    assert focus.evidence == {"blur": 9.0, "images_n": 2.0}
    assert clipped.evidence == {"images_n": 1.0}


def test_few_islets_are_judged_by_their_sum():
    few = QualityWarning(code="too_few_islets", message="of one picture", severity="info")
    many = [numbers([150.0] * 200, name=name, warnings=(few,)) for name in "ab"]
    assert pool(many, name="p", parameters=COUNT).warnings == ()
    (told,) = pool([numbers([150.0] * 5, name=name) for name in "ab"], name="p", parameters=COUNT).warnings
    assert (told.code, told.evidence["islets_n"]) == ("too_few_islets", 10.0)
