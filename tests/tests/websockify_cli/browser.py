#!/usr/bin/python3
"""A browser's end: browser.py URL [ca=FILE] [cert=FILE:KEY] [unix=PATH] [user=NAME:PASSWORD] [origin=ORIGIN]

Says `open` once a line of ours came back from an echo behind the console. Each line on standard input then goes there and back, and is
printed. At their end, or the server's, says `closed CODE`; before anything was open, `refused REASON`."""
import asyncio
import base64
import ssl
import sys

import websockets

options = dict(word.split("=", 1) for word in sys.argv[2:])


async def lines():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def connect(url):
    how = {"subprotocols": ["binary"]}
    if "ca" in options:
        how["ssl"] = ssl.create_default_context(cafile=options["ca"])
        how["ssl"].check_hostname = False
    if "cert" in options:
        how["ssl"].load_cert_chain(*options["cert"].split(":"))
    if "user" in options:
        how["extra_headers"] = {"Authorization": "Basic " + base64.b64encode(options["user"].encode()).decode()}
    if "origin" in options:
        how["origin"] = options["origin"]
    if "unix" in options:
        return websockets.unix_connect(options["unix"], url, **how)
    return websockets.connect(url, **how)


async def echo(console, text):
    await console.send(text.encode())
    came = b""
    while len(came) < len(text):
        came += await console.recv()
    assert came.decode() == text, came


async def browse(url):
    try:
        console = await connect(url)
    except Exception as error:
        return print("refused", type(error).__name__, getattr(error, "status_code", ""), flush=True)
    try:
        await echo(console, "hello")
        print("open", flush=True)
        commands = await lines()
        while True:
            line = asyncio.ensure_future(commands.readline())
            ended = asyncio.ensure_future(console.wait_closed())
            await asyncio.wait([line, ended], return_when=asyncio.FIRST_COMPLETED)
            if ended.done() or not line.result():
                break
            ended.cancel()
            text = line.result().decode().strip()
            await echo(console, text)
            print(text, flush=True)
        await console.close()
    except websockets.ConnectionClosed:
        pass
    print("closed", console.close_code, flush=True)


asyncio.run(asyncio.wait_for(browse(sys.argv[1]), 60))
