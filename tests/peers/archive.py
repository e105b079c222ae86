"""A web archive as a WSGI application behind TLS: archive.py NAME ADDRESS PORT CHAIN KEY.

Users log in with the password `secret`; pages say whose host they are on and whom they saw.
"""

import ssl
import sys
from html import escape
from socketserver import ThreadingMixIn
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

name, address, port, chain, key = sys.argv[1:]

FORM = """<!doctype html><title>{name}</title><h1 id="host">{name}</h1>
<form method="post" action="/login"><input name="username" id="username">
<input name="password" id="password" type="password"><button id="go">Log in</button></form>"""
PAGE = """<!doctype html><title>{name}</title><h1 id="host">{name}</h1><p id="user">{user}</p>
<p id="page">{page}</p>"""


def cookies(environ):
    pairs = (pair.split("=", 1) for pair in environ.get("HTTP_COOKIE", "").split("; ") if "=" in pair)
    return dict(pairs)


def app(environ, start_response):
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "text/html; charset=utf-8")]
    if path == "/login" and environ["REQUEST_METHOD"] == "POST":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        form = parse_qs(environ["wsgi.input"].read(length).decode())
        if form.get("password") == ["secret"]:
            user = form["username"][0]
            start_response("303 See Other", [("Location", "/pages/0"), ("Set-Cookie", f"who={user}; Path=/")])
            return [b""]
        start_response("401 Unauthorized", headers)
        return [FORM.format(name=name).encode()]
    user = cookies(environ).get("who")
    if path == "/login" or user is None:
        start_response("200 OK", headers)
        return [FORM.format(name=name).encode()]
    start_response("200 OK", headers)
    return [PAGE.format(name=name, user=escape(user), page=escape(path)).encode()]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


server = make_server(address, int(port), app, Server, Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(chain, key)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
