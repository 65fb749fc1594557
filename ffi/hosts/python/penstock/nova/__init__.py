"""nova's proxies over the engine: its checks of tokens, pages and ports as they are, in one process."""
