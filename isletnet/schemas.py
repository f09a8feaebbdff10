"""Frozen records that cross the borders between wings.

Plain dataclasses, so that importing them costs nothing and any door (JSON, HTTP, notebook) can use them.
Lengths carry their unit in the name (``_px``, ``_um``, ``_nl``); a fraction is 0..1 and ends in ``_fraction``.
Arrays are row-major: ``(height, width)`` or ``(height, width, 3)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

BACKGROUND, ISLET, EXOCRINE = 0, 1, 2
CLASS_NAMES = ("background", "islet", "exocrine")

# What the networks and the preparation of their input agree on: the side of a cell of the background grid (and the
# multiple of a tile's sides), and the grey levels added before a logarithm, about the noise of a dark frame at 8 bit.
CELL_PX = 16
FLOOR_LEVELS = 6.0

# The sphere of 150 um diameter: 1 islet equivalent (Ricordi 1990).
IEQ_UM3 = 1_767_145.867644259
SMALLEST_ISLET_UM = 50.0

# Every way from one outline to a volume; each is a column `volume_<method>_um3` and `ieq_<method>`.
VOLUME_METHODS = ("sphere", "prolate", "oblate", "mean_diameter", "revolution", "nucleator", "vext", "vmod")
# Class tables give IEQ without a volume: columns `ieq_<table>` only.
RICORDI_TABLES = ("ricordi_long", "ricordi_short", "ricordi_extended")
IEQ_METHODS = VOLUME_METHODS + RICORDI_TABLES

# What a release criterion may be set on.
CRITERION_QUANTITIES = tuple(
    "ieq islets_n islet_index mean_diameter_um purity_area_fraction purity_volume_fraction total_ieq total_islets "
    "ieq_per_kg ieq_per_g_pancreas islet_volume_ul replicate_cv_fraction settled_tissue_ml ieq_per_ml_settled_tissue "
    "viability_fraction endotoxin_eu_per_kg".split()
)

CalibrationSource = Literal["caller", "file", "guess"]
Severity = Literal["info", "warning", "severe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The size of a pixel, and who says so. A ``guess`` gives no micrometres and no IEQ."""

    um_per_px: float | None
    source: CalibrationSource
    detail: str = ""
    file_um_per_px: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether micrometres and IEQ may be reported."""
        return self.um_per_px is not None and self.source != "guess"


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityWarning:
    """Something a person should know about an image or its result, with the evidence."""

    code: str
    message: str
    severity: Severity = "warning"
    evidence: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Micrograph:
    """A decoded picture: RGB uint8 ``(height, width, 3)``, never modified."""

    name: str
    pixels: NDArray[np.uint8]
    calibration: Calibration
    sha256: str
    file_format: str
    bit_depth: int = 8
    warnings: tuple[QualityWarning, ...] = ()

    @property
    def shape_px(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmentation:
    """What the network saw, in the pixel grid of the micrograph.

    ``classes`` is uint8 ``(height, width)``; ``islet_probability`` is uint8 of the same shape, 255 = certain.
    """

    classes: NDArray[np.uint8]
    islet_probability: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledIslets:
    """Separated islets: ``classes`` uint8 after cleaning, ``islets`` int32 with ids exactly 1..n (0 none)."""

    classes: NDArray[np.uint8]
    islets: NDArray[np.int32]
    islets_n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkIdentity:
    """Which network answered, on which engine: enough to get the same bytes again."""

    name: str
    version: str
    weights_sha256: str
    engine: str
    precision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisParameters:
    """What a caller may choose for an image. Diameters are of the circle of equal area."""

    network: str = "islet-unet"
    um_per_px: float | None = None
    smallest_islet_um: float = SMALLEST_ISLET_UM
    smallest_particle_um: float = 15.0
    split_touching: bool = True
    border: Literal["count", "exclude"] = "count"
    ieq_method: str = "sphere"
    uncertainty: Literal["networks", "flips", "none"] = "networks"
    confidence_level: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One release criterion: ``quantity`` is one of `CRITERION_QUANTITIES`."""

    name: str
    quantity: str
    comparison: Literal[">=", "<="]
    limit: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleParameters:
    """What is known of the sample and its preparation; everything optional."""

    sample_name: str = ""
    sample_volume_ul: float | None = None
    dilution_factor: float = 1.0
    preparation_volume_ml: float | None = None
    recipient_kg: float | None = None
    pancreas_g: float | None = None
    settled_tissue_ml: float | None = None
    viability_fraction: float | None = None
    # Of the final suspension.
    endotoxin_eu_per_ml: float | None = None
    criteria: tuple[Criterion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A confidence interval and how it was made."""

    low: float
    high: float
    level: float
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its unit and method. ``value`` is None where it is undefined (no tissue, no calibration).

    ``interval`` joins all known sources; ``sampling`` and ``segmentation`` are its parts.
    """

    value: float | None
    unit: str
    method: str
    interval: Interval | None = None
    sampling: Interval | None = None
    segmentation: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeClass:
    """One row of the Ricordi table, half-open ``[lower_um, upper_um)``; ``upper_um`` None is open."""

    lower_um: float
    upper_um: float | None
    islets_n: int
    ieq_ricordi: float
    ieq_continuous: float
    count_fraction: float
    ieq_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WeibullFit:
    """Maximum-likelihood Weibull of the diameters, left-truncated at ``cut_um`` (Buchwald 2009)."""

    shape: float
    scale_um: float
    cut_um: float
    islets_n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """How far the members of an ensemble differ on one image, as relative standard errors (1 = 100 %).

    The errors hold what the network is known to err on any image, too. ``between_members`` is without it: what this
    image adds, under ``ieq``, ``count``, ``islet_area`` and ``exocrine_area``.
    """

    members: tuple[str, ...]
    ieq_relative: float
    count_relative: float
    islet_area_relative: float
    exocrine_area_relative: float
    between_members: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionResult:
    """A criterion with what was found; ``passed`` is None where the value is unknown."""

    criterion: Criterion
    value: float | None
    passed: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """From the sample to the whole preparation."""

    total_ieq: Estimate
    total_islets: Estimate
    ieq_per_kg: Estimate | None
    ieq_per_g_pancreas: Estimate | None
    islet_volume_ul: Estimate
    replicate_cv_fraction: float | None
    replicates_n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The numbers of one image or of the pooled images of a sample.

    ``fragmentation`` and ``contact`` map named numbers to estimates; their definitions are the methods' text.
    Without calibration everything in um or IEQ has value None, and counts are of all islet-class particles.
    """

    name: str
    images_n: int
    um_per_px: float | None
    image_area_mm2: float | None
    islets_n: int
    small_particles_n: int
    border_islets_n: int
    oversize_islets_n: int
    ieq_method: str
    ieq: Estimate
    count: Estimate
    purity_area: Estimate
    purity_volume: Estimate
    islet_index: Estimate
    mean_diameter: Estimate
    median_diameter: Estimate
    islet_area_px: int
    exocrine_area_px: int
    ieq_by_method: dict[str, Estimate]
    volume_by_method_nl: dict[str, Estimate]
    size_classes: tuple[SizeClass, ...]
    fragmentation: dict[str, Estimate]
    contact: dict[str, Estimate]
    weibull: WeibullFit | None
    preparation: Preparation | None
    criteria: tuple[CriterionResult, ...]
    warnings: tuple[QualityWarning, ...]
    exocrine_volume_um3: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What made a result."""

    package_version: str
    image_sha256: str
    network: NetworkIdentity
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageResult:
    """Everything known of one image; ``table`` has one row per islet-class particle (see `measure.COLUMNS`)."""

    micrograph: Micrograph
    calibration: Calibration
    labelled: LabelledIslets
    table: pd.DataFrame
    summary: Summary
    disagreement: Disagreement | None
    provenance: Provenance
