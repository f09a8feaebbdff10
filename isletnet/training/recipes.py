"""How the bundled networks are made. TensorFlow is not needed to know it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from isletnet.errors import ParameterError

# Experts outline tightly. On real micrographs that were left out, dark fields agree best at 0.6, bright ones at 0.7 and
# those with small islets above that.
ISLET_THRESHOLD = 0.65


@dataclass(frozen=True, slots=True, kw_only=True)
class FitPlan:
    """What a run does; written into its folder before the first step. ``variation`` scales the augmentation."""

    widths: tuple[int, ...]
    stem_width: int
    convolutions: int
    steps: int
    batch: int = 8
    side_px: int = 256
    learning_rate: float = 2e-3
    real_fraction: float = 0.0
    variation: float = 1.0
    seed: int = 1
    checkpoint_steps: int = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A network: on synthetic scenes alone (``base``), with the real micrographs (``tune``), and on these with little
    variation (``finish``), to draw contours as the experts do.
    """

    name: str
    working_um_per_px: float
    islet_threshold: float
    scenes_n: int
    tuning_scenes_n: int
    base: FitPlan
    tune: FitPlan
    finish: FitPlan
    second_opinion: str | None = None

    @property
    def architecture(self) -> dict[str, object]:
        """What rebuilds the core."""
        plan = self.base
        return {"widths": list(plan.widths), "stem_width": plan.stem_width, "convolutions": plan.convolutions}


def _recipe(
    name: str,
    *,
    widths: tuple[int, ...],
    um_per_px: float,
    scenes_n: tuple[int, int],
    steps: tuple[int, int, int],
    second_opinion: str | None = None,
) -> Recipe:
    base = FitPlan(widths=widths, stem_width=8, convolutions=2, steps=steps[0], learning_rate=2e-3, seed=1)
    return Recipe(
        name=name,
        working_um_per_px=um_per_px,
        islet_threshold=ISLET_THRESHOLD,
        scenes_n=scenes_n[0],
        tuning_scenes_n=scenes_n[1],
        base=base,
        tune=replace(base, steps=steps[1], learning_rate=1e-3, real_fraction=0.65, seed=2),
        finish=replace(base, steps=steps[2], learning_rate=5e-4, real_fraction=0.85, variation=0.4, seed=3),
        second_opinion=second_opinion,
    )


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _recipe(
            "islet-unet",
            widths=(24, 48, 96, 160),
            um_per_px=2.0,
            scenes_n=(1600, 700),
            steps=(4500, 1200, 700),
            second_opinion="islet-unet-small",
        ),
        _recipe(
            "islet-unet-small", widths=(16, 32, 64, 96), um_per_px=4.0, scenes_n=(1200, 500), steps=(1400, 500, 400)
        ),
    )
}


def find_recipe(name: str) -> Recipe:
    """Find a recipe by the name of its network.

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    if name not in RECIPES:
        raise ParameterError(f"expected one of {', '.join(RECIPES)}", subject=name)
    return RECIPES[name]
