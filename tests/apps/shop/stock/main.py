"""Keeps a list of goods. Needs nothing but Python, so that its image builds in seconds."""
import hmac
import json
import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SIGNING_SECRET = os.environ["SIGNING_SECRET"]
GREETING = os.environ.get("GREETING", "in stock")
# A test sets these to break what was good: a host that must be there first, and a service that never gets ready.
WAIT_FOR = os.environ.get("WAIT_FOR", "")
CLOSED = os.environ.get("CLOSED", "")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            self.answer({"status": "ok"})
        elif self.path == "/ready":
            self.send_error(503) if CLOSED else self.answer({"status": "ready"})
        elif self.path == "/goods":
            mark = hmac.new(SIGNING_SECRET.encode(), b"goods", "sha256").hexdigest()
            self.answer({"goods": ["bread", "salt"], "note": GREETING, "mark": mark})
        else:
            self.send_error(404)

    def answer(self, body):
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


if __name__ == "__main__":
    if WAIT_FOR:
        try:
            socket.create_connection((WAIT_FOR, 5432), timeout=3)
        except OSError as error:
            raise SystemExit(f'could not translate host name "{WAIT_FOR}" to address: {error}')
    ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
