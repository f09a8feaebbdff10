"""Voila with the pages' own addresses: five pages, their kernels' channels, and static files."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async
from tornado.ioloop import PeriodicCallback
from tornado.web import HTTPError, RedirectHandler, RequestHandler, StaticFileHandler
from traitlets.config import Config
from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler

from serve.access.identity import is_proxy
from serve.pages import (
    CULL_EVERY_S,
    LEFT_S,
    PAGES,
    api_origins,
    content_policy,
    note_left,
    preferred_language,
)

if TYPE_CHECKING:
    from isletnet.settings import Settings

_KEPT_ROUTES = (
    "/api/kernels/",
    "/voila/templates/",
    "/voila/static/",
    "/voila/api/themes/",
    "/voila/api/shutdown/",
    "/voila/labextensions/",
)
_STYLE = Path(__file__).resolve().parent.parent / "isletnet" / "ui" / "style"
_TEXTS = {
    "en": {
        "full": "Too many people are using the pages",
        "full_why": "This machine can serve only so many open pages. Close pages that you do not need, and try again "
        "in a minute. Analyses that were started go on, and nothing is lost.",
        "again": "Try again",
        "absent": "There is no such page",
        "absent_why": "The address may be mistyped.",
        "failed": "The page could not be shown",
        "failed_why": "Try again in a moment. If it happens again, tell your administrator.",
        "begin": "To the first page",
    },
    "cs": {
        "full": "Stránky právě používá příliš mnoho lidí",
        "full_why": "Tento počítač obslouží jen omezený počet otevřených stránek. Zavřete ty, které nepotřebujete, "
        "a zkuste to za minutu znovu. Spuštěné analýzy pokračují a nic se neztratí.",
        "again": "Zkusit znovu",
        "absent": "Taková stránka není",
        "absent_why": "V adrese může být překlep.",
        "failed": "Stránku se nepodařilo zobrazit",
        "failed_why": "Zkuste to za chvíli znovu. Pokud se to opakuje, řekněte to správci.",
        "begin": "Na první stránku",
    },
}


class _Spoken(RequestHandler):
    """What answers of this server share: the policy, and the language of the person."""

    def chosen_language(self) -> str:
        asked = self.get_query_argument("lang", "")
        if asked in _TEXTS:
            return str(asked)
        cookie = self.get_cookie("isletnet-language")
        return preferred_language(cookie, self.request.headers.get("Accept-Language", ""))

    def protect(self) -> None:
        origin = api_origins(self.settings["isletnet"], self.request.host)
        headers = {
            "Content-Security-Policy": content_policy(origin),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
        }
        for name, value in headers.items():
            self.set_header(name, value)

    def say(self, status: int, what: str, *, way: str, href: str) -> None:
        language = self.chosen_language()
        texts = _TEXTS[language]
        self.clear()
        self.protect()
        self.set_status(status)
        if status == 503:
            self.set_header("Retry-After", "60")
        template = self.settings["voila_jinja2_env"].get_template("sentence.html.j2")
        self.finish(
            template.render(language=language, title=texts[what], text=texts[f"{what}_why"], way=texts[way], href=href)
        )


class PageHandler(_Spoken, TornadoVoilaHandler):  # type: ignore[misc]
    """A page: a kernel of its own, if there is room for one."""

    def prepare(self) -> Any:
        """Say who looks, in which language, and let nobody else say so."""
        headers = self.request.headers
        settings = self.settings["isletnet"]
        person = headers.get(settings.identity_header, "")
        headers.pop("Isletnet-Person", None)
        headers["Isletnet-Language"] = self.chosen_language()
        if person and is_proxy(settings, self.request.remote_ip):
            headers["Isletnet-Person"] = person
        return super().prepare()

    async def get(self, name: str) -> None:
        """Show the page of this name."""
        opening: set[PageHandler] = self.settings["isletnet_opening"]
        if len(self.kernel_manager.list_kernel_ids()) + len(opening) >= self.settings["isletnet_cap"]:
            self.say(503, "full", way="again", href=name)
            return
        self.protect()
        # Makes the cookie with which a page that closes may end its kernel.
        _ = self.xsrf_token
        # A kernel is not among the others before it has started.
        opening.add(self)
        try:
            await TornadoVoilaHandler.get(self, path=f"{name}.ipynb")
        finally:
            opening.discard(self)

    def write(self, chunk: Any) -> None:
        """Write a part of the page, which begins when its kernel has started."""
        self.settings["isletnet_opening"].discard(self)
        super().write(chunk)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say that it failed, without a trace."""
        if not self._headers_written:
            self.say(status_code, "failed", way="again", href="analyse")


class AbsentHandler(_Spoken):
    """Every address that is none of ours."""

    def prepare(self) -> None:
        """Say so, whatever the method."""
        raise HTTPError(404)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say that there is nothing."""
        self.say(status_code, "absent", way="begin", href="/analyse")


class LookHandler(StaticFileHandler):
    """The style of the pages and their icon."""

    def set_extra_headers(self, path: str) -> None:
        """Let browsers ask whether it changed."""
        self.set_header("Cache-Control", "no-cache")


class Pages(Voila):  # type: ignore[misc]
    """Voila with the pages' addresses only."""

    def init_handlers(self) -> list[Any]:
        """Keep what pages need of Voila, and put the pages where people find them."""
        kept = [handler for handler in super().init_handlers() if any(part in handler[0] for part in _KEPT_ROUTES)]
        page = {
            "template_paths": self.template_paths,
            "config": self.config,
            "voila_configuration": self.voila_configuration,
        }
        base = self.server_url.rstrip("/")
        self._left: dict[str, float] = {}
        # The loop that runs this now will serve the pages.
        PeriodicCallback(self._end_left_kernels, 1000 * CULL_EVERY_S).start()
        return [
            *kept,
            (rf"{base}/({'|'.join(PAGES)})", PageHandler, page),
            (rf"{base}/look/(.*)", LookHandler, {"path": str(_STYLE)}),
            # The bare address, also that of a mail: what stands after "?" goes along.
            (rf"{base}/?", RedirectHandler, {"url": f"{base}/analyse", "permanent": False}),
            (r".*", AbsentHandler),
        ]

    async def _end_left_kernels(self) -> None:
        manager = self.kernel_manager
        connections = {kernel["id"]: kernel["connections"] for kernel in manager.list_kernels()}
        now_s = monotonic()
        self._left = note_left(self._left, connections, now_s)
        for kernel, since_s in self._left.items():
            if now_s - since_s >= LEFT_S:
                await ensure_async(manager.shutdown_kernel(kernel))


def serve_pages(settings: Settings, config: dict[str, Any], *, cap: int) -> None:
    """Serve the pages until told to stop.

    Parameters
    ----------
    settings
        Of this installation.
    config
        Of Voila.
    cap
        Most kernels at once.
    """
    app = Pages(config=Config(config))
    app.tornado_settings = {
        "isletnet": settings,
        "isletnet_cap": cap,
        "isletnet_opening": set(),
        "xheaders": False,
    }
    app.initialize([])
    app.start()
