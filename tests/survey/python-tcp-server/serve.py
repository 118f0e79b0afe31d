import http.server
import os
import socketserver

PORT = 8090

os.chdir(os.path.join(os.path.dirname(__file__), "pages"))
socketserver.TCPServer(("", PORT), http.server.SimpleHTTPRequestHandler).serve_forever()
