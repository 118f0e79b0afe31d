import http.server

http.server.HTTPServer(("", 8000), None).serve_forever()
