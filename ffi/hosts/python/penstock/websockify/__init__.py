"""websockify's proxy over the engine: the same class, the same plugins, one process, and bytes that Python never sees.

    class Proxy(penstock.websockify.EngineServer, MyWebSocketProxy): ...

or `WebSocketProxy` of here instead of websockify's, or `python3 -m penstock.websockify` instead of `websockify`.
"""

from penstock.websockify.proxy import EngineServer, WebSocketProxy
from penstock.websockify.refusal import Unsupported

__all__ = ["EngineServer", "Unsupported", "WebSocketProxy"]
