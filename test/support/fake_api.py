"""Stands for outboard-control's API on a unix socket: enough of docs/openapi.yaml to see what a command asks and how it takes
the answers. It remembers every request, and can be told what to answer.
"""
import http.server
import json
import os
import socketserver
import threading
import urllib.parse

VOLUME = {"name": "disk1", "id": "11111111-2222-4333-8444-555555555555", "size_bytes": 10 << 30, "block_size_bytes": 4096,
          "backend": "file", "path": "/var/lib/outboard/volumes/disk1.img", "read_only": False, "iops": None, "throughput_mib": None,
          "burst": False, "encrypted": False, "kek": None, "tags": {}, "state": "available",
          "health": {"state": "ok", "errors": 0, "message": None}, "attachment": None, "created_at": "2024-01-01T00:00:00Z"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length)
        body = json.loads(text) if text else None
        api = self.server.api
        api.requests.append((self.command, self.path, body))
        status, reply = api.reply(self.command, self.path, body)
        data = reply if isinstance(reply, bytes) else b"" if reply is None else json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if data:
            self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = answer


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class FakeApi:
    def __init__(self, path):
        self.path = path
        self.requests = []
        self.fixed = {}  # (method, path): (status, reply) or a function of the body
        self.volumes = {}
        self.attachments = {}
        self.server = Server(path, Handler)
        self.server.api = self
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        os.unlink(self.path)

    def answer(self, method, path, status, reply):
        self.fixed[(method, path)] = (status, reply)

    def last(self, method):
        return [r for r in self.requests if r[0] == method][-1]

    def reply(self, method, path, body):
        fixed = self.fixed.get((method, path))
        if fixed is not None:
            status, reply = fixed
            return status, reply(body) if callable(reply) else reply
        parts = urllib.parse.urlparse(path).path.strip("/").split("/")
        handler = getattr(self, "_" + parts[1], None) if len(parts) > 1 else None
        return handler(method, parts[2:], body) if handler else error(404, "not_found", f"no {path}")

    def _volumes(self, method, rest, body):
        if method == "GET" and not rest:
            return 200, [self.volumes[n] for n in sorted(self.volumes)]
        if method == "POST" and not rest:
            volume = {**VOLUME, **body, "kek": (body.get("kek") or "default") if body["encrypted"] else None}
            self.volumes[body["name"]] = volume
            return 201, volume
        if rest[0] not in self.volumes:
            return error(404, "volume_not_found", f"there is no volume \"{rest[0]}\"")
        volume = self.volumes[rest[0]]
        if method == "PATCH":
            volume.update(body)
        elif method == "DELETE":
            del self.volumes[rest[0]]
            return 204, None
        elif method == "POST":
            volume["kek"] = body["kek"]
        return 200, {**volume, "attachment": self.attachments.get(rest[0])}

    def _attachments(self, method, rest, body):
        if method == "POST":
            attachment = {"queues": 1, "packed": True, "read_only": False, "socket": f"/run/sockets/{body['volume']}.sock", **body,
                          "state": "waiting", "created_at": "2024-01-01T00:00:00Z", "reason": None}
            self.attachments[body["volume"]] = attachment
            return 201, attachment
        if rest[0] not in self.attachments:
            return error(404, "attachment_not_found", f"volume \"{rest[0]}\" is not attached")
        del self.attachments[rest[0]]
        return 204, None


def error(status, code, message):
    return status, {"error": {"code": code, "message": message}}
