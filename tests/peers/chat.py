"""WebSocket as real ones do it: chat.py serve ADDRESS PORT CHAIN KEY, or chat.py ask ADDRESS PORT USER.

The server sends back what comes, with its own words before it; the client asks through usher, as mail.test.
"""

import asyncio
import base64
import ssl
import sys

import websockets


async def serve(address, port, chain, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)

    async def chat(socket, *_):
        async for message in socket:
            await socket.send(message if isinstance(message, bytes) else "heard: " + message)

    async with websockets.serve(chat, address, int(port), ssl=context, max_size=None):
        await asyncio.Future()


async def ask(address, port, user):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    pair = base64.b64encode(f"{user}:secret".encode()).decode()
    async with websockets.connect(
        "wss://mail.test/chat",
        host=address,
        port=int(port),
        ssl=context,
        max_size=None,
        extra_headers={"Authorization": "Basic " + pair},
    ) as socket:
        for number in range(100):
            await socket.send(f"word {number}")
            assert await socket.recv() == f"heard: word {number}"
        large = bytes(range(256)) * 8192
        await socket.send(large)
        assert await socket.recv() == large
        await (await socket.ping())
    print("100 words and", len(large), "octets over and back")


asyncio.run({"serve": serve, "ask": ask}[sys.argv[1]](*sys.argv[2:]))
