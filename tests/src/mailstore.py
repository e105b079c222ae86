"""The management API of MailStore Service Provider Edition, as far as it is asked: answers begin with a byte order mark."""
import base64, http.server, json, ssl, sys, urllib.parse

HOSTS = [
    {"serverName": "IH1.test", "port": 8472, "thumbprint": "AA:BB"},
    {"serverName": "ih9.test", "port": 8472, "thumbprint": "CC:DD"},
]
INSTANCES = [
    {"instanceID": "acme", "alias": "acme.example.com", "instanceHost": "IH1.test", "status": "running"},
    {"instanceID": "globex", "alias": "", "instanceHost": "ih2.test", "status": "stopped"},
    {"instanceID": "lost", "alias": None, "instanceHost": "ih9.test", "status": "running"},
]


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def do_POST(self):
        asked = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode(), keep_blank_values=True)
        wanted = "Basic " + base64.b64encode(b"admin:store-secret").decode()
        function = self.path.removeprefix("/api/invoke/")
        answer = {"error": None, "statusCode": "succeeded", "result": None}
        if function == "GetInstanceHosts" and "serverNameFilter" in asked:
            answer["result"] = HOSTS
        elif function == "GetInstances" and asked.get("instanceFilter") == ["*"]:
            answer["result"] = INSTANCES
        else:
            answer["error"] = {"message": "unknown function"}
        body = b"\xef\xbb\xbf" + json.dumps(answer).encode()
        self.send_response(200 if self.headers["Authorization"] == wanted else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Api)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3], sys.argv[4])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
