"""A summary as one flat row of a table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isletnet.analysis.summary.integrity import CLASS_BOUNDS_UM
from isletnet.schemas import Estimate, Preparation, Summary

Value = str | int | float | None


def flat_row(summary: Summary) -> dict[str, Value]:
    """Turn a summary into one row of a table.

    Parameters
    ----------
    summary
        Of an image or a sample.

    Returns
    -------
    dict of str to str, int, float or None
        Always the same keys in the same order, with units in the names; a bound ends in ``_low`` or ``_high``. None
        where a number is undefined.
    """
    row: dict[str, Any] = {
        "name": summary.name,
        "images_n": summary.images_n,
        "um_per_px": summary.um_per_px,
        "image_area_mm2": summary.image_area_mm2,
        "ieq_method": summary.ieq_method,
        **_bounded("ieq", summary.ieq),
        **_bounded("islets_n", summary.count),
        "islets_n": summary.islets_n,
        **_bounded("purity_area_fraction", summary.purity_area),
        **_bounded("purity_volume_fraction", summary.purity_volume),
        **_bounded("islet_index_ieq_per_islet", summary.islet_index),
        **_bounded("mean_diameter_um", summary.mean_diameter),
        **_bounded("median_diameter_um", summary.median_diameter),
        "small_particles_n": summary.small_particles_n,
        "border_islets_n": summary.border_islets_n,
        "oversize_islets_n": summary.oversize_islets_n,
        "islet_area_px": summary.islet_area_px,
        "exocrine_area_px": summary.exocrine_area_px,
        **{f"ieq_{method}": one.value for method, one in summary.ieq_by_method.items()},
        **{f"volume_{method}_nl": one.value for method, one in summary.volume_by_method_nl.items()},
        **_class_columns(summary),
        # The islet index has its own column above.
        **{name: one.value for name, one in summary.fragmentation.items() if name != "islet_index"},
        **{f"contact_{name}": one.value for name, one in summary.contact.items()},
        "weibull_shape": summary.weibull.shape if summary.weibull else None,
        "weibull_scale_um": summary.weibull.scale_um if summary.weibull else None,
        **_preparation_columns(summary.preparation),
        "criteria_passed_n": sum(result.passed is True for result in summary.criteria),
        "criteria_failed_n": sum(result.passed is False for result in summary.criteria),
        "criteria_unknown_n": sum(result.passed is None for result in summary.criteria),
        "warnings": " ".join(warning.code for warning in summary.warnings),
    }
    return {key: _plain(value) for key, value in row.items()}


def _bounded(key: str, number: Estimate | None) -> dict[str, Any]:
    interval = number.interval if number else None
    return {
        key: number.value if number else None,
        f"{key}_low": interval.low if interval else None,
        f"{key}_high": interval.high if interval else None,
    }


def _class_columns(summary: Summary) -> dict[str, Any]:
    by_lower = {row.lower_um: row for row in summary.size_classes}
    below = [row for row in summary.size_classes if row.lower_um < CLASS_BOUNDS_UM[0]]
    rows = {f"below_{CLASS_BOUNDS_UM[0]:g}_um": below[0] if below else None}
    for lower, upper in zip(CLASS_BOUNDS_UM, CLASS_BOUNDS_UM[1:], strict=False):
        rows[f"{lower:g}_{upper:g}_um"] = by_lower.get(lower)
    rows[f"from_{CLASS_BOUNDS_UM[-1]:g}_um"] = by_lower.get(CLASS_BOUNDS_UM[-1])
    return {
        key: value
        for name, row in rows.items()
        for key, value in (
            (f"islets_{name}_n", row.islets_n if row else None),
            (f"ieq_{name}", row.ieq_continuous if row else None),
        )
    }


def _preparation_columns(whole: Preparation | None) -> dict[str, Any]:
    return {
        **_bounded("preparation_ieq", whole.total_ieq if whole else None),
        **_bounded("preparation_islets_n", whole.total_islets if whole else None),
        **_bounded("preparation_ieq_per_kg", whole.ieq_per_kg if whole else None),
        **_bounded("preparation_ieq_per_g_pancreas", whole.ieq_per_g_pancreas if whole else None),
        **_bounded("preparation_islet_volume_ul", whole.islet_volume_ul if whole else None),
        "replicate_cv_fraction": whole.replicate_cv_fraction if whole else None,
        "replicates_n": whole.replicates_n if whole else None,
    }


def _plain(value: Any) -> Value:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
