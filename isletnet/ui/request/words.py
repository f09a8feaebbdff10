"""Names of methods, units and criteria in the language of the page."""

from __future__ import annotations

from isletnet.ui.i18n import _


def method_name(method: str) -> str:
    """Name a way from an outline to a volume; one that is not known keeps its own name."""
    return {
        "sphere": _("Sphere of equal area"),
        "prolate": _("Prolate ellipsoid"),
        "oblate": _("Oblate ellipsoid"),
        "mean_diameter": _("Sphere of the mean diameter"),
        "revolution": _("Solid of revolution"),
        "nucleator": _("Nucleator"),
        "vext": _("Extrusion (Vext)"),
        "vmod": _("Flattened extrusion (Vmod)"),
        "ricordi_long": _("Ricordi table, long factors"),
        "ricordi_short": _("Ricordi table, short factors"),
        "ricordi_extended": _("Ricordi table, extended above 400 µm"),
    }.get(method, method)


def unit_name(unit: str) -> str:
    """Write a unit as people do."""
    return {
        "um": "µm",
        "um2": "µm²",
        "um3": "µm³",
        "uL": "µL",
        "ul": "µL",
        "islets": "",
        "IEQ/islet": _("IEQ/islet"),
        "per islet": _("per islet"),
    }.get(unit, unit)


def criterion_name(name: str) -> str:
    """Name a release criterion; those of one's own keep their names."""
    return {
        "Islet dose": _("Islet dose"),
        "Viability": _("Viability"),
        "Islet concentration": _("Islet concentration"),
        "Settled tissue": _("Settled tissue"),
        "Endotoxin": _("Endotoxin"),
        "Purity": _("Purity"),
    }.get(name, name)


def quantity_name(quantity: str) -> str:
    """Name a number of shape or of contact with exocrine tissue; one that is not known keeps its own name."""
    return {
        "islet_index": _("IEQ per islet"),
        "small_islet_fraction": _("Small islets, below 100 µm"),
        "low_solidity_fraction": _("Ragged islets, solidity below 0.9"),
        "small_particles_per_islet": _("Small particles per islet"),
        "small_particles_ieq": _("IEQ in small particles"),
        "free_fraction": _("Free islets"),
        "mantled_fraction": _("Mantled islets"),
        "embedded_fraction": _("Embedded islets"),
    }.get(quantity, quantity.replace("_", " ").capitalize())
