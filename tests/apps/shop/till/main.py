"""Asks the stock what there is to sell."""
import json
import os
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STOCK_URL = os.environ["STOCK_URL"]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path in ("/health", "/ready"):
            self.answer({"status": "ok"})
        elif self.path == "/offer":
            with urllib.request.urlopen(f"{STOCK_URL}/goods", timeout=3) as goods:
                self.answer({"offer": json.load(goods)["goods"]})
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
    ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
