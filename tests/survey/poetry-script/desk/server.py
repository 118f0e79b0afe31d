from http.server import HTTPServer, SimpleHTTPRequestHandler


def run():
    HTTPServer(('', 8080), SimpleHTTPRequestHandler).serve_forever()


def check():
    pass
