"""`ptycho view`: the runs below a folder in a browser, until Ctrl-C.

Data flow: [folders of runs -> browser]. Reads only.
"""

import errno
import logging
import sys
import webbrowser

from ptycho.errors import ConfigError, DataError
from ptycho.settings.view import ViewConfig

log = logging.getLogger(__name__)


def run(config: ViewConfig) -> None:
    """Serve the runs of a folder to the browser of this machine.

    Raises:
        DataError: If there is no such folder.
        ConfigError: If the port is taken.
    """
    if not config.folder.is_dir():
        raise DataError(f"{config.folder}: no folder; expected one that holds runs")
    from tornado.ioloop import IOLoop

    from ptycho.view.application import application, page_finder
    from ptycho.view.server import start_server

    try:
        server, address = start_server(
            application(config.folder), page_finder(config.folder), config.port
        )
    except OSError as problem:
        if problem.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise ConfigError(
            f"port: {config.port} is taken or not ours ({problem.strerror}); expected a free one, "
            "or 0 for any"
        ) from None
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    log.info("runs in %s at %s until Ctrl-C", config.folder, address)
    if config.open:
        webbrowser.open(address)
    try:
        IOLoop.current().start()
    finally:
        server.stop()
