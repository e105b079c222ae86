"""Answers where users are: in JSON, and as nginx asks its auth_http. A file for each user, named by the hexadecimal
digits of the name, holds the host. What nginx asks is noted in the file "asked"."""
import http.server, json, os, ssl, sys, threading, urllib.parse

secret = sys.argv[3]


def host_of(user):
    try:
        with open(os.path.join("users", user.encode().hex())) as file:
            return file.read()
    except OSError:
        return None


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer in one piece: the second of two would wait for the first to be acknowledged.
    wbufsize = 65536

    def do_GET(self):
        if self.headers.get("X-Auth-Key") != secret:
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path.startswith("/users/"):
            self.look_up(urllib.parse.unquote(self.path.removeprefix("/users/")))
        else:
            self.auth()

    def look_up(self, user):
        host = host_of(user)
        body = json.dumps({"host": host, "attributes": {"department": "sales"}}).encode()
        self.send_response(404 if host is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def auth(self):
        with open("asked", "a") as file:
            file.write(self.requestline + "\n" + str(self.headers))
        user = urllib.parse.unquote(self.headers["Auth-User"])
        password = self.headers.get("Auth-Pass")
        host = host_of(user)
        self.send_response(200)
        if host is None or password == "wrong":
            self.send_header("Auth-Status", "Invalid login or password")
            self.send_header("Auth-Wait", "1")
        elif user.startswith("later"):
            self.send_header("Auth-Status", "Try later")
            self.send_header("Auth-Error-Code", "454 4.7.0")
        else:
            server, _, port = host.rpartition(":")
            self.send_header("Auth-Status", "OK")
            self.send_header("Auth-Server", server or host)
            if server:
                self.send_header("Auth-Port", port)
            if user.startswith("alias"):
                self.send_header("Auth-User", "anna@example.com")
        self.end_headers()

    def log_message(self, *_):
        pass


secure = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[4])), Service)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem", "server.key")
secure.socket = context.wrap_socket(secure.socket, server_side=True)
threading.Thread(target=secure.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Service).serve_forever()
