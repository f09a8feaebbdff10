"""Errors and warnings as sentences for people. A stack trace goes to the log of the pages, never to a page."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

from isletnet.errors import IsletnetError
from isletnet.ui.i18n import _, number, percent

P = ParamSpec("P")

_LOG = logging.getLogger("isletnet.ui")


def sentence(error: BaseException) -> str:
    """Say what went wrong, and what to do, in the language of the page.

    Known codes have a translated sentence. What else the service says is shown in its own words, with the number of
    the call for the administrator.
    """
    if not isinstance(error, IsletnetError):
        return _("Something went wrong on this page. Reload it; if it happens again, tell your administrator.")
    return problem(error.code, error.message, call_id=getattr(error, "call_id", None))


def problem(code: str | None, message: str | None = None, *, call_id: str | None = None) -> str:
    """Say what an error code of the service means; ``message`` is its own English sentence."""
    known = problems().get(code or "")
    text = known or message or _("Something went wrong.")
    if code in (None, "unexpected", "service_failed") and call_id:
        text += " " + _("Tell your administrator this number: {number}", number=call_id)
    return text


def warning(code: str, message: str, evidence: Mapping[str, float] | None = None) -> str:
    """Say what a warning about an image means; ``message`` is the English sentence that came with it."""
    known = warnings().get(code)
    if known is None:
        return message
    shown = {name: _shown(name, value) for name, value in (evidence or {}).items()}
    try:
        return known.format(**shown)
    except KeyError:
        return message


def guarded(tell: Callable[[str], None]) -> Callable[[Callable[P, Any]], Callable[P, None]]:
    """Make a decorator for callbacks of widgets: an exception becomes a sentence that ``tell`` shows."""

    def decorate(callback: Callable[P, Any]) -> Callable[P, None]:
        @functools.wraps(callback)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                callback(*args, **kwargs)
            except Exception as error:  # the last line before the page
                log(error)
                tell(sentence(error))

        return run

    return decorate


def log(error: BaseException) -> None:
    """Keep an error for the operator: expected ones in a line, others with their trace."""
    if isinstance(error, IsletnetError):
        _LOG.warning("a page could not do something: %s (%s)", error, error.code)
    else:
        _LOG.error("a page failed", exc_info=error)


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return number(None)
    is_share = name.endswith(("_fraction", "_relative", "_share"))
    return percent(value) if is_share else number(value)


def problems() -> dict[str, str]:
    """Give the sentences for codes of the service, for widgets that call it from the browser."""
    return {
        "unreachable": _("The service does not answer. Wait a moment and try again; your finished work is safe."),
        "busy": _("The service has much to do just now. Try again in a minute."),
        "slow": _("The line was too slow. Send the file again."),
        "too_many": _("Too many calls in a short time. Wait a minute."),
        "unauthorized": _("Sign in with your key. Your administrator gives you one."),
        "access_denied": _("Sign in with your key. Your administrator gives you one."),
        "forbidden": _("You are not allowed to do this. Ask your administrator."),
        "not_found": _("There is no such request, or it belongs to somebody else."),
        "gone": _("This was deleted."),
        "too_large": _("This file is larger than the service takes."),
        "image_unsupported": _("This is not a picture that can be read. Send TIFF, PNG, JPEG or BMP."),
        "image_damaged": _("This file is damaged or cut short. Copy it again from the microscope and send it again."),
        "image_too_large": _("This picture has too many pixels. Crop it."),
        "calibration_invalid": _("This pixel size cannot be right. Check it."),
        "network_unusable": _("This network cannot be used. Choose another one."),
        "storage_full": _("The service has no room for new images. Tell your administrator; reading goes on."),
        "storage_unavailable": _("The service cannot reach its storage. Try again in a minute."),
        "worker_lost": _("The computer that worked on this broke off. Try again."),
        "trial_not_found": _("The drawn islet was not found. Check the network, or install it again."),
        "gpu_driver_failed": _("The driver of the GPU fails. Restart the machine, or install the driver again."),
        "unexpected": _("The service made an error."),
    }


def warnings() -> dict[str, str]:
    """Give the sentences for warnings about images, by their codes, with ``{names}`` of their evidence."""
    return {
        "not_islet_micrograph": _("This does not look like a micrograph of stained islets. Do not use its numbers."),
        "calibration_missing": _(
            "The size of a pixel is unknown, so nothing can be said in µm or IEQ. Enter it, or measure it."
        ),
        "calibration_implausible": _("The pixel size is hardly possible for islets. Check the calibration."),
        "calibration_conflict": _("The file names another pixel size than you did. Yours was used."),
        "pixels_not_square": _("The pixels are not square. Shapes and diameters are distorted."),
        "clipped": _("Parts of the picture are over- or underexposed, and their colour is lost."),
        "uneven_light": _("The light is uneven over the picture. Centre the lamp, or check the outlines at the edge."),
        "low_contrast": _("The picture has little contrast. Check the outlines by eye."),
        "out_of_focus": _("The picture is out of focus, so outlines are uncertain."),
        "colours_unlike_training": _("The colours differ from those the network knows. Check the outlines by eye."),
        "bubble_suspected": _("There may be air bubbles in the picture. Check that none is counted as an islet."),
        "many_cut_by_border": _("Islets cut by the edge of the picture: {cut_n} of {islets_n}. Take a wider field."),
        "too_few_islets": _(
            "Few islets were counted ({islets_n}), so chance alone makes the IEQ uncertain: its interval is wide. "
            "Add pictures of the sample until about {needed_n} islets are counted."
        ),
        "oversize_islets": _("Very large islets: {oversize_n}. Some may be several islets in one outline."),
        "very_high_exocrine_contact": _(
            "Much of the islets' outline ({mean_contact_fraction}) touches exocrine tissue, so volumes are understated."
        ),
        "networks_disagree": _("The networks disagree on this picture. Check the outlines by eye."),
        "nothing_found": _("No islet was found that is large enough to be counted."),
        "same_image_twice": _("One picture came {copies_n} times, and its islets count each time. Keep one."),
        "replicates_differ": _("The repeated counts differ more than chance allows. Count again."),
    }
