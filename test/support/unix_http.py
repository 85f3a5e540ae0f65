"""HTTP over a unix socket, as outboard-control speaks it."""
import http.client
import socket

PATIENCE_S = 60  # for what must happen, on however slow a machine; nothing here is measured


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(self.path)
