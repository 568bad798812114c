"""A file system whose answers wait until they are let go, to see who is held up meanwhile: FUSE, spoken by a
process of its own. It holds the file `data`, whose bytes are CONTENT.

    with SlowDisk() as disk:
        reader = bine.spawn(open, disk.path)
        assert disk.asked() == "open"     # it is waited for, there
        disk.answer()
"""
import ctypes
import errno
import os
import select
import shutil
import stat
import struct
import subprocess
import sys
import tempfile

CONTENT = bytes(range(256)) * 64
NAMES = {1: "lookup", 3: "stat", 14: "open", 15: "read", 16: "write", 20: "fsync", 27: "opendir"}
ROOT, DATA = 1, 2
SILENT = (2, 36, 42)  # forget, interrupt, forget many: nobody wants an answer


def is_possible():
    return os.geteuid() == 0 and os.path.exists("/dev/fuse") and shutil.which("python3") is not None


class SlowDisk:
    """What is in `held` waits for answer(); all else is answered at once."""

    def __init__(self, held):
        self.folder = tempfile.mkdtemp()
        self.path = os.path.join(self.folder, "data")
        self.server = subprocess.Popen(["python3", __file__, self.folder, *held], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, bufsize=0)
        self.mounted = self.server.stdout.readline() == b"mounted\n"

    def asked(self):
        return self.server.stdout.readline().decode().strip()

    def answer(self):
        self.server.stdin.write(b"\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()
        os.rmdir(self.folder)


def attributes(node):
    is_root = node == ROOT
    mode = stat.S_IFDIR | 0o755 if is_root else stat.S_IFREG | 0o644
    return struct.pack("<6Q3I7I", node, 0 if is_root else len(CONTENT), 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0,
                       4096, 0)


def answer_to(op, node, body):
    """Bytes, or an errno."""
    if op == 26:  # init
        major, minor, ahead = struct.unpack_from("<3I", body)
        return struct.pack("<4I2H2I2HI28x", 7, min(minor, 31), ahead, 0, 16, 8, 65536, 1, 16, 0, 0)
    if op == 1:
        if body.rstrip(b"\0") != b"data":
            return errno.ENOENT
        return struct.pack("<4Q2I", DATA, 0, 0, 0, 0, 0) + attributes(DATA)
    if op == 3:
        return struct.pack("<Q2I", 0, 0, 0) + attributes(node)
    if op in (14, 27):
        return struct.pack("<Q2I", 7, 1 if op == 14 else 0, 0)  # reads always come to us
    if op == 15:
        _, offset, size = struct.unpack_from("<2QI", body)
        return CONTENT[offset:offset + size]
    if op == 16:
        return struct.pack("<2I", struct.unpack_from("<2QI", body)[2], 0)
    if op == 28:
        _, offset, size = struct.unpack_from("<2QI", body)
        return struct.pack("<2Q2I8s", DATA, 1, 4, stat.S_IFREG >> 12, b"data") if offset == 0 else b""
    if op == 17:
        return struct.pack("<5Q10I", 100, 100, 100, 100, 100, 4096, 255, 4096, 0, 0, 0, 0, 0, 0, 0)
    if op in (18, 20, 25, 29, 34, 38):
        return b""
    return errno.ENOSYS


def serve(fuse, held):
    while True:
        if sys.stdin in select.select([fuse, sys.stdin], [], [])[0]:
            return
        request = os.read(fuse, 1 << 20)
        size, op, unique, node = struct.unpack_from("<2I2Q", request)
        if op in SILENT:
            continue
        if NAMES.get(op) in held:
            print(NAMES[op], flush=True)
            if os.read(0, 1) == b"":
                return
        answer = answer_to(op, node, request[40:size])
        error = -answer if isinstance(answer, int) else 0
        data = b"" if error else answer
        os.write(fuse, struct.pack("<IiQ", 16 + len(data), error, unique) + data)


def main(folder, *held):
    libc = ctypes.CDLL(None, use_errno=True)
    fuse = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"slow", folder.encode(), b"fuse", 0, options) != 0:
        print("refused:", os.strerror(ctypes.get_errno()), flush=True)
        return
    try:
        print("mounted", flush=True)
        serve(fuse, held)
    except OSError:
        pass  # it is unmounted
    finally:
        libc.umount2(folder.encode(), 2)


if __name__ == "__main__":
    main(*sys.argv[1:])
