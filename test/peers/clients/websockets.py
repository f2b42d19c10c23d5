"""A server of websockets, and a client that tries it through the proxy. See main.go."""

import asyncio
import ssl
import sys

import websockets


async def answer(ws):
    if ws.path == "/close":
        await ws.close(4321, "so be it")
        return
    if ws.path == "/burst":
        for i in range(1000):
            await ws.send(str(i))
        await ws.close(1000)
        return
    try:
        async for message in ws:
            await ws.send(message)
    except websockets.ConnectionClosed:
        pass


async def serve(port):
    async with websockets.serve(answer, "127.0.0.1", port, max_size=1 << 25, ping_interval=None):
        await asyncio.Future()


async def check(url, ca):
    tls = ssl.create_default_context(cafile=ca) if url.startswith("wss") else None

    def connect(path="/", **more):
        return websockets.connect(url + path, ssl=tls, max_size=1 << 25, ping_interval=None, **more)

    async with connect() as ws:
        for message in ["hello", "", "ä" * 1000, b"\x00\xff" * 30000]:
            await ws.send(message)
            assert await ws.recv() == message, "echo"
    print("ok    echo")

    async with connect() as ws:
        big = bytes(range(256)) * 65536
        await ws.send(big)
        assert await ws.recv() == big, "16 MiB come back as they were"
        await ws.send(["many ", "pieces ", "make ", "one"])
        assert await ws.recv() == "many pieces make one", "fragments"
    print("ok    16 MiB, and fragments")

    async with connect() as ws:
        for data in ["", "x" * 125]:
            pong = await ws.ping(data)
            await asyncio.wait_for(pong, 10)
    print("ok    ping")

    async with connect("/close") as ws:
        await ws.wait_closed()
        assert (ws.close_code, ws.close_reason) == (4321, "so be it"), (ws.close_code, ws.close_reason)
    ws = await connect()
    await ws.close(3999, "enough")
    assert ws.close_code == 3999, ws.close_code
    print("ok    close codes of either side")

    async with connect("/burst") as ws:
        got = [m async for m in ws]
        assert got == [str(i) for i in range(1000)], "all, in order, and then the end"
    print("ok    what is sent before the end arrives")

    async def one(i):
        async with connect(subprotocols=None) as ws:
            for j in range(20):
                await ws.send(f"{i} {j}")
                assert await ws.recv() == f"{i} {j}", "to whom it belongs"

    await asyncio.gather(*[one(i) for i in range(50)])
    print("ok    50 at once")


if sys.argv[1] == "serve":
    asyncio.run(serve(int(sys.argv[2])))
else:
    asyncio.run(check(sys.argv[2], sys.argv[3]))
