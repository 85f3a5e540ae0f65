#!/usr/bin/python3
"""Seeds of fuzz/corpus/api_json: one good body of each kind, and one of each near miss."""
import json
import os

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", "api_json")
VOLUME, CHANGE, ATTACHMENT, KEY, REWRAP, EXPORT, UNLOCK, NOTHING = range(8)
FULL = {"name": "db-1", "size_bytes": 10 << 30, "block_size_bytes": 4096, "backend": "file", "path": "/srv/db.img", "read_only": False,
        "iops": 3000, "throughput_mib": 125, "burst": True, "encrypted": True, "kek": "k", "tags": {"team": "d\u00e4"}}
SEEDS = {
    "volume": (VOLUME, FULL),
    "volume-least": (VOLUME, {"name": "v", "size_bytes": 512, "backend": "null", "block_size_bytes": 512}),
    "volume-nulls": (VOLUME, {**FULL, "path": None, "iops": None, "throughput_mib": None, "kek": None}),
    "volume-unaligned": (VOLUME, {**FULL, "size_bytes": 4097}),
    "volume-path": (VOLUME, {**FULL, "path": "/srv/../etc/passwd"}),
    "volume-unknown": (VOLUME, {**FULL, "nmae": 1}),
    "change": (CHANGE, {"size_bytes": 1 << 40, "iops": None, "throughput_mib": 1, "burst": False, "tags": {}}),
    "attachment": (ATTACHMENT, {"volume": "v", "kind": "nbd", "queues": 4, "packed": False, "read_only": True, "socket": "/run/v.sock",
                                "uid": 64055, "gid": 107, "mode": "0660"}),
    "attachment-mode": (ATTACHMENT, {"volume": "v", "mode": "1777"}),
    "key": (KEY, {"name": "k"}),
    "rewrap": (REWRAP, {"kek": "k"}),
    "export": (EXPORT, {"recipient": "0123456789abcdefABCDEF".ljust(64, "0")}),
    "unlock": (UNLOCK, {"sealed": "00ff" * 20}),
    "nothing": (NOTHING, {}),
}
RAW = {"empty": b"\0", "array": b"\0[1]", "truncated": b"\0{\"name\": \"v\", ", "duplicate": b"\3{\"name\": \"a\", \"name\": \"b\"}",
       "big": b"\0{\"size_bytes\": 99999999999999999999}", "real": b"\0{\"size_bytes\": 1e400}", "nul": b"\3{\"name\": \"a\\u0000b\"}",
       "deep": b"\0" + b"[" * 3000}

os.makedirs(FOLDER, exist_ok=True)
for name, (which, body) in SEEDS.items():
    with open(os.path.join(FOLDER, name), "wb") as f:
        f.write(bytes([which]) + json.dumps(body, ensure_ascii=False).encode())
for name, data in RAW.items():
    with open(os.path.join(FOLDER, name), "wb") as f:
        f.write(data)
