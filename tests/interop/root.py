"""A program in a root directory of its own, where its compiled-in paths and users are; nothing outside is changed.

`scripts/setup.sh --interop` unpacks the roots; each run works on a copy, of hard links where nothing is changed.
"""

import os
import shutil
import stat
import subprocess
import time

CACHE = os.environ.get("PENNYPOST_INTEROP", "/var/cache/pennypost-interop")
CHROOT = shutil.which("chroot") or "/usr/sbin/chroot"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
DEVICES = {"null": (1, 3), "zero": (1, 5), "random": (1, 8), "urandom": (1, 9)}


def missing(name):
    """Why the program cannot be run; none if it can."""
    if os.geteuid() != 0:
        return "needs root, to run in a root directory of its own"
    if not os.path.exists(f"{CACHE}/roots/{name}/.unpacked"):
        return "could not be fetched"
    return None


class Root:
    """The copy for one run. `users` maps names to their numbers."""

    def __init__(self, name, work, users, nameserver):
        self.path = f"{work}/{name}"
        self.log = f"{work}/{name}.log"
        self.child = None
        subprocess.run(["cp", "-al", f"{CACHE}/roots/{name}", self.path], check=True)
        with open(f"{self.path}/.version", encoding="ascii") as file:
            self.version = file.read().strip()
        for directory in ("dev", "tmp", "run", "etc", "var/mail", "var/tmp", "root", "nonexistent"):
            os.makedirs(f"{self.path}/{directory}", exist_ok=True)
        os.chmod(f"{self.path}/tmp", 0o1777)
        for device, (major, minor) in DEVICES.items():
            os.mknod(f"{self.path}/dev/{device}", 0o666 | stat.S_IFCHR, os.makedev(major, minor))
            os.chmod(f"{self.path}/dev/{device}", 0o666)
        users = {"root": 0, **users}
        self.write("etc/passwd", "".join(f"{user}:x:{number}:{number}:{user}:/nonexistent:/bin/sh\n" for user, number in users.items()))
        self.write("etc/group", "".join(f"{user}:x:{number}:\n" for user, number in users.items()))
        self.write("etc/hosts", "127.0.0.1 localhost\n")
        self.write("etc/resolv.conf", f"nameserver {nameserver}\n")
        self.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n")

    def write(self, path, text, mode=0o644):
        """Writes a file anew: what was there may be shared with other copies."""
        path = f"{self.path}/{path}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path):
            os.remove(path)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def directory(self, path, owner=0, mode=0o755):
        path = f"{self.path}/{path}"
        os.makedirs(path, exist_ok=True)
        os.chown(path, owner, owner)
        os.chmod(path, mode)

    def certificate(self, host, owner=0, key=("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")):
        """A self-signed certificate as /etc/tls/cert.pem and key.pem."""
        self.directory("etc/tls")
        place = f"{self.path}/etc/tls"
        command = ["openssl", "req", "-x509", "-newkey", *key, "-nodes", "-days", "2"]
        command += ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-keyout", f"{place}/key.pem", "-out", f"{place}/cert.pem"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        os.chmod(f"{place}/key.pem", 0o600)
        os.chown(f"{place}/key.pem", owner, owner)

    def run(self, *command, given=b""):
        """Runs a program to its end."""
        return subprocess.run([CHROOT, self.path, *command], input=given, capture_output=True, env={"PATH": PATH}, check=False, timeout=60)

    def start(self, *command, user=None):
        """Starts the program that stays."""
        user = [f"--userspec={user}"] if user else []
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen([CHROOT, *user, self.path, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": PATH})

    def stop(self):
        if self.child and self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()

    def said(self):
        """The end of what the program printed and logged."""
        text = ""
        for path in (self.log, f"{self.path}/var/log/mail.log", f"{self.path}/var/log/exim4/mainlog"):
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    text += file.read()
        return "\n".join(text.splitlines()[-25:])


def eventually(condition, seconds=15.0):
    """True once `condition` holds; false if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
