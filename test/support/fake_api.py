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


# Kinds of objects of a VPC, and what an answer has when it was not given.
NET_KINDS = {
    "vpcs": {"vni": 4096, "encapsulation": "vxlan", "mtu": None, "domain": None, "flow_log": None, "tags": {}},
    "subnets": {"cidr6": None, "route_table": None, "acl": None},
    "security-groups": {"grandfather": False, "rules": []},
    "acls": {"rules": []},
    "route-tables": {"routes": []},
    "peerings": {},
    "hosts": {},
    "enis": {"mac": "02:00:00:00:00:04", "addresses": ["10.0.1.4", "fd00:1::4"], "security_groups": [], "host": None,
             "source_dest_check": True, "bandwidth_in": None, "bandwidth_out": None, "packets_per_s": None, "flows_max": None,
             "new_flows_per_s": None, "tcp_established_s": None, "udp_s": None, "udp_stream_s": None, "other_s": None, "tags": {},
             "attachment": None},
    "nats": {"address": "10.0.1.5", "mac": "02:00:00:00:00:05", "host": None},
    "eips": {"eni": None, "nat": None, "private_address": None},
}


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
        self.objects = {kind: {} for kind in NET_KINDS}
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
        if len(parts) > 1 and parts[1] in NET_KINDS:
            return self._net(parts[1], method, parts[2:], body)
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

    def _net(self, kind, method, rest, body):
        objects = self.objects[kind]
        if method == "GET" and not rest:
            return 200, [objects[n] for n in sorted(objects)]
        if method == "POST" and not rest:
            objects[body["name"]] = {**NET_KINDS[kind], **body, "id": "11111111-2222-4333-8444-555555555555",
                                     "created_at": "2024-01-01T00:00:00Z"}
            return 201, objects[body["name"]]
        if rest[0] not in objects:
            return error(404, "object_not_found", f"there is no \"{rest[0]}\"")
        one = objects[rest[0]]
        if rest[1:]:
            return self._part(one, method, rest[1], body)
        if method == "DELETE":
            del objects[rest[0]]
            return 204, None
        one.update(body or {})
        return 200, one

    @staticmethod
    def _part(one, method, part, body):
        """An ENI's attachment, or the rules or routes of the others."""
        if part == "attachment":
            if method == "DELETE" and one["attachment"] is None:
                return error(404, "attachment_not_found", "it is not attached")
            one["attachment"] = None if method == "DELETE" else {
                "socket": None if "tap" in body else f"/run/sockets/{one['name']}.sock", "tap": None, "netns": None, "queues": 4,
                "packed": True, "reason": None, "created_at": "2024-01-01T00:00:00Z", **body, "state": "waiting"}
            return (204, None) if method == "DELETE" else (201, one["attachment"])
        key = ("destination",) if part == "routes" else ("number", "direction") if "number" in str(body) else None
        gone = body.get("remove", [])
        one[part] = [r for r in one[part] if not any(all(r.get(k) == g.get(k) for k in key or g) for g in gone)] + body.get("add", [])
        return 200, {**one, f"{part[:-1]}_count": len(one[part])}


def error(status, code, message):
    return status, {"error": {"code": code, "message": message}}
