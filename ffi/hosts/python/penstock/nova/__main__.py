"""`python3 -m penstock.nova novncproxy|spicehtml5proxy|serialproxy ARGS...` instead of `nova-novncproxy ARGS...` and its siblings.

nova's command finds its class in a module that it calls `websocketproxy`. In this process, that name is something which has ours in there.
"""

import importlib
import os
import sys
from types import SimpleNamespace

PROGRAMS = ("novncproxy", "spicehtml5proxy", "serialproxy")


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in PROGRAMS:
        sys.exit(f"usage: python3 -m penstock.nova {'|'.join(PROGRAMS)} ARGS...")
    program = sys.argv[1]
    # Requests are judged on threads. Green ones would all be this one, which waits.
    os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
    sys.argv[:2] = ["nova-" + program]
    module = importlib.import_module("nova.cmd." + program)
    from nova.cmd import baseproxy
    from nova.console import websocketproxy

    import penstock
    from penstock.nova.proxy import NovaWebSocketProxy
    from penstock.websockify import Unsupported

    baseproxy.websocketproxy = SimpleNamespace(
        NovaWebSocketProxy=NovaWebSocketProxy, NovaProxyRequestHandler=websocketproxy.NovaProxyRequestHandler
    )
    try:
        module.main()
    except (Unsupported, penstock.LibraryError, penstock.Error) as error:
        sys.exit(f"nova-{program}: {error}")


if __name__ == "__main__":
    main()
