"""websockify's command line: `python3 -m penstock.websockify ARGS...` instead of `websockify ARGS...`.

websockify_init() finds its classes among the names of its module, and takes none: so two of those names are ours in this process.
"""

import shutil
import sys

from websockify import websocketproxy

import penstock
from penstock.websockify.proxy import WebSocketProxy
from penstock.websockify.refusal import Unsupported


class LibServer(WebSocketProxy):
    """--libserver chooses another loop of Python's, of which there is none here. The other one knows no plugins; this one does."""

    def serve_forever(self):
        self.warn("--libserver has no effect")
        self.start_server()


def main():
    # Usage names the program after it, and rebind.so is looked for beside it.
    sys.argv[0] = shutil.which("websockify") or "websockify"
    websocketproxy.WebSocketProxy = WebSocketProxy
    websocketproxy.LibProxyServer = LibServer
    try:
        websocketproxy.websockify_init()
    except (Unsupported, penstock.LibraryError, penstock.Error) as error:
        sys.exit(f"websockify: {error}")


if __name__ == "__main__":
    main()
