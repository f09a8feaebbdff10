"""The pages' server with few kernels and little patience; started by a test on a port."""

import os
import sys

from isletnet.settings import Settings
from serve import pages

CAP = 20
LEFT_S, IDLE_S, CULL_EVERY_S = 20.0, 40, 1


def main(port: int) -> None:
    """Serve the pages."""
    settings = Settings()
    kept = pages.kernel_environment(os.environ)
    os.environ.clear()
    os.environ.update(kept)
    from serve import pages_server

    vars(pages_server).update(LEFT_S=LEFT_S, CULL_EVERY_S=CULL_EVERY_S)
    config = pages.configuration(settings, host="127.0.0.1", port=port)
    config["MappingKernelManager"].update(cull_idle_timeout=IDLE_S, cull_interval=CULL_EVERY_S)
    pages_server.serve_pages(settings, config, cap=CAP)


if __name__ == "__main__":
    main(int(sys.argv[1]))
