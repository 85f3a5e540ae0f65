"""The demo's first part: a guest on an encrypted disk, where its key and its plaintext are, and how fast disks go."""
import json
import os
import secrets
import subprocess
import sys
import time

from demo_stage import HERE, MIB, Card, Failed, Guest

PHRASE = "This line is the guest's plaintext"
BLOCK_BYTES = 4096

GUEST_WRITES = f"""
set -e
mkfs.ext4 -q -L demo /dev/vda
mount /dev/vda /mnt
cd /mnt
for i in 1 2 3 4 5 6 7 8; do yes "{PHRASE}, file $i." | head -c 1048576 >text$i; done
for i in 1 2 3 4 5 6 7 8; do head -c 2097152 /dev/urandom >random$i; done
sha256sum text* random* >sums
cat text* random* | wc -c | sed 's/^/demo: written /'
cd /
umount /mnt
"""

GUEST_VERIFIES = """
set -e
e2fsck -fn /dev/vda >/dev/null 2>&1
mount -o ro /dev/vda /mnt
cd /mnt
sha256sum -c sums | grep -c ': OK$' | sed 's/^/demo: verified /'
cd /
umount /mnt
"""


# --- where is the plaintext, where is the key ---

def find_secret(secret_file, pieces, *paths):
    """A search in a process of its own, which gets the secret by pipe: this one never holds it."""
    with open(secret_file, "rb") as secret:
        found = subprocess.run([f"{HERE}/find-secret", "--pieces", str(pieces), *paths], stdin=secret, stdout=subprocess.PIPE,
                               check=True)
    return json.loads(found.stdout)


def check_search_finds(stage):
    """The search is only worth something if it finds: a decoy of the same size, in a process that holds it."""
    decoy = f"{stage.folder}/decoy"
    with open(decoy, "wb") as file:
        file.write(secrets.token_bytes(32).hex().encode())  # 64 bytes, like a key; without zeros, for an environment
    holder = subprocess.Popen(["sh", "-c", 'DECOY=$(cat "$1") exec sleep 60', "sh", decoy])
    try:
        time.sleep(0.2)
        report = find_secret(decoy, 2, decoy)
    finally:
        holder.kill()
        holder.wait()
        os.unlink(decoy)
    if holder.pid not in [p["pid"] for p in report["processes"] if p["found"]] or not report["files"]:
        raise Failed("the search for keys does not find a decoy that is there; its result would mean nothing")


def check_key(stage, card, key, backing):
    card.call("key", "export", "disk", "--out", key)
    check_search_finds(stage)
    report = find_secret(key, 2, card.state, backing, card.log)
    searched = report["searched"]
    holders = sorted({p["name"] for p in report["processes"] if p["found"]})
    strangers = [name for name in holders if name not in ("outboard-card", "outboard-vault")]
    if strangers or report["files"]:
        raise Failed(f"the key of the volume is where it must not be: {strangers + [f['path'] for f in report['files']]}")
    hidden = sorted({p["name"] for p in report["processes"] if p["unreadable_bytes"] and p["name"].startswith("outboard-")})
    stage.fact("searched for the key", f"{searched['memory_bytes'] / MIB:,.0f} MiB of {searched['processes']} processes, "
               f"{searched['file_bytes'] / MIB:,.0f} MiB of files")
    stage.fact("root found it in", ", ".join(holders) if holders else "no process and no file")
    if hidden:
        stage.fact("memory that root cannot read", ", ".join(hidden))
    refused = [p["name"] for p in report["refused"]]
    if refused:
        stage.fact("not searched, the kernel refuses", ", ".join(refused))


def count_phrase(data):
    return data.count(PHRASE.encode())


def decrypted_phrases(key_file, backing):
    """The phrase, counted in the backing file as another implementation (python3-cryptography) decrypts it with the key."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    with open(key_file, "rb") as file:
        key = algorithms.AES(file.read())
    found = 0
    with open(backing, "rb") as file:
        for number in range(os.fstat(file.fileno()).st_size // BLOCK_BYTES):
            block = file.read(BLOCK_BYTES)
            if block.count(0) == BLOCK_BYTES:  # a hole
                continue
            tweak = modes.XTS(number.to_bytes(16, "little"))
            found += count_phrase(Cipher(key, tweak).decryptor().update(block))
    return found


def check_plaintext(stage, key, backing, text_bytes):
    with open(backing, "rb") as file:
        plain = 0
        while data := file.read(MIB):
            plain += count_phrase(data)
    if plain:
        raise Failed(f"the backing file holds the guest's plaintext, {plain} times")
    # In a child, so that no key was ever in this process.
    child = subprocess.run([sys.executable, os.path.realpath(__file__), key, backing], stdout=subprocess.PIPE, text=True, check=True)
    found = int(child.stdout)
    if found < text_bytes // BLOCK_BYTES:  # several a block, less those that the edge of a block cuts
        raise Failed(f"decrypted with the exported key, the backing file has the guest's line only {found} times")
    stage.fact("the guest's line in the backing file", f"{plain} times; decrypted by python3-cryptography: {found:,} times")


# --- how fast ---

def measure(stage, card, name, socket, what, depth):
    line = [f"{stage.build}/outboard", "bench", "blk", "--socket", socket, "--json", "--cpu", "0", "--seconds", str(stage.seconds),
            "--rw", "randread", "--bs", "4096", "--qd", str(depth)]
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as bench:
        try:
            time.sleep(0.5)  # the card's own account, from the middle of the run
            top = card.call("top", "--interval", "1")
            output = bench.communicate(timeout=stage.seconds + 30)[0]
        finally:
            bench.kill()
    if bench.returncode != 0:
        raise Failed(f"outboard bench blk on {name} failed")
    result = json.loads(output)
    rate = sum(part["rate_per_s"] for device in top["devices"] if device["volume"] == name
               for queue in device["queues"] for part in queue["stages"] if part["name"] == "ring")
    busy = max(poller["busy_share"] for poller in top["pollers"])
    latency = result["latency_ns"]
    stage.detail(f"{what}: {result['iops']:,.0f} IOPS, {latency['avg'] / 1000:.1f} µs")
    return (what, f"{result['iops']:,.0f}", f"{result['mib_per_s']:,.0f}", f"{latency['avg'] / 1000:.1f}",
            f"{latency['p99'] / 1000:.1f}", f"{busy * 1e9 / rate:,.0f}" if rate and depth > 1 else "")


def measure_volumes(stage, card):
    rows = []
    for name, words in (("plain", []), ("secret", ["--encrypted"])):
        what = "encrypted" if words else "plain"
        card.call("volume", "create", name, "--size", "256M", "--backend", "memory", *words)
        socket = card.call("volume", "attach", name)["socket"]
        subprocess.run([f"{stage.build}/outboard", "bench", "blk", "--socket", socket, "--json", "--rw", "write", "--bs", "256K",
                        "--qd", "8", "--seconds", "1"], stdout=subprocess.DEVNULL, check=True)  # so that every block is there
        rows.append(measure(stage, card, name, socket, f"{what}, 4 KiB random reads, 128 deep", 128))
        rows.append(measure(stage, card, name, socket, f"{what}, 4 KiB random reads, one at a time", 1))
        card.call("volume", "detach", name)
        card.call("volume", "delete", name)
    stage.table("Memory volumes, one poller core, one queue", ("", "IOPS", "MiB/s", "avg µs", "p99 µs", "card's ns a request"), rows)


# --- all of it ---

def guest_on_disk(stage, socket):
    disk = ("--disk", f"{socket},packed")
    stage.step("booting a guest: Debian's kernel, unmodified; it makes a file system and writes files")
    with Guest(stage, "guest", GUEST_WRITES, *disk) as guest:
        written = int(guest.hear("written"))
        guest.end()
    stage.detail(f"{written / MIB:.0f} MiB written, with checksums")
    stage.step("booting it again: it checks the file system and every checksum")
    with Guest(stage, "guest", GUEST_VERIFIES, *disk) as guest:
        verified = int(guest.hear("verified"))
        guest.end()
    if verified != 16:
        raise Failed(f"after the reboot only {verified} of 16 files are what was written")
    stage.fact("guest", f"{written / MIB:.0f} MiB in 16 files written, all checksums right after a reboot")


def show(stage):
    key, backing = f"{stage.folder}/disk.key", f"{stage.folder}/disk.img"
    stage.step("starting vault, card and control")
    with Card(stage, "card") as card:
        about = card.call("card", "show")
        stage.fact("encryption", f"AES-256-XTS by {about['xts_kernel']}, keys in {about['secret_memory']} memory")
        stage.step("creating an encrypted volume in a file, and attaching it")
        card.call("volume", "create", "disk", "--size", "256M", "--backend", "file", "--path", backing, "--encrypted")
        socket = card.call("volume", "attach", "disk")["socket"]
        stage.detail(f"socket {socket}")
        guest_on_disk(stage, socket)
        stage.step("searching memory and files for the volume's key, which the card is using")
        check_key(stage, card, key, backing)
        stage.step("searching the backing file for what the guest wrote")
        check_plaintext(stage, key, backing, 8 * MIB)
        os.unlink(key)
        card.call("volume", "detach", "disk")
        card.call("volume", "delete", "disk")
        stage.step("measuring memory volumes, plain and encrypted")
        measure_volumes(stage, card)


if __name__ == "__main__":
    print(decrypted_phrases(*sys.argv[1:]))
