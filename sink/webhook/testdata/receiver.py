"""A receiver of webhooks that shares no code with the sink. Prints its port; ends with its input.

POST /in takes events whose signature is right. GET /log tells what was taken, in order. POST /set has
the JSON of what to do from now on: {"status": 503, "headers": {...}, "text": "...", "times": n, "deny": id}.
"""
import http.server, json, os, ssl, sys, threading

sys.path.insert(0, os.path.dirname(__file__))
from verify import verify

secret = os.environ.get("SECRET", "")
taken, requests, orders, lock = [], [], {}, threading.Lock()


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, text="", headers={}):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with lock:
            self.answer(200, json.dumps({"taken": taken, "requests": requests}))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/set":
            with lock:
                orders.clear()
                orders.update(json.loads(body))
            return self.answer(200)
        with lock:
            requests.append({"path": self.path, "headers": dict(self.headers.items()), "port": self.client_address[1]})
            status, headers, text = self.take(body)
        self.answer(status, text, headers)

    def take(self, body):
        if secret and not verify(self.headers, body, secret):
            return 400, {}, "bad signature"
        if orders.get("times", 1) > 0 and "status" in orders:
            orders["times"] = orders.get("times", 1 << 30) - 1
            return orders["status"], orders.get("headers", {}), orders.get("text", "")
        kind, value = self.headers["Content-Type"], json.loads(body)
        events = value if kind == "application/cloudevents-batch+json; charset=utf-8" else [value]
        if kind not in ("application/cloudevents+json; charset=utf-8", "application/cloudevents-batch+json; charset=utf-8"):
            return 415, {}, kind
        if any(e["id"] == orders.get("deny") for e in events):
            return 422, {}, "one of these will never do"
        if any(e["id"] == orders.get("fail") for e in events):
            return 500, {}, "one of these breaks me"
        taken.extend(events)
        return 202, {}, ""


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True


server = Server(("127.0.0.1", 0), Receiver)
if len(sys.argv) > 1:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    context.load_verify_locations(sys.argv[3])
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
