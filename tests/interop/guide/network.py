"""A network of two machines: that of the house, and the world with its DNS, where everybody else is. Neither has another way out."""

import os
import subprocess
import time

# Nobody is reached by them here. Documentation addresses would be told from public ones.
DNS = "44.128.0.53"
HOUSE, HOUSE6 = "44.128.0.10", "3fff:ffff::10"
BIG, BIG6 = "44.128.1.1", "3fff:ffff:1::1"
OUTSIDE = "44.128.2.1"


class Machines:
    """The world is the namespace of this process; the house has one of its own, which a process that does nothing keeps."""

    def __init__(self, work):
        self.keeper = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        house = self.inside()
        # The process has a namespace of its own a moment after it was started.
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.keeper.pid}/ns/net") == own:
            time.sleep(0.01)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "world", "type", "veth", "peer", "name", "eth0")
        run("ip", "link", "set", "eth0", "netns", str(self.keeper.pid))
        run("ip", "link", "set", "world", "up")
        for link in ("lo", "eth0"):
            run(*house, "ip", "link", "set", link, "up")
        for address in (DNS, BIG, OUTSIDE):
            run("ip", "addr", "add", f"{address}/32", "dev", "world")
        run("ip", "-6", "addr", "add", f"{BIG6}/128", "dev", "world", "nodad")
        run("ip", "route", "add", f"{HOUSE}/32", "dev", "world", "src", DNS)
        run("ip", "-6", "route", "add", f"{HOUSE6}/128", "dev", "world", "src", BIG6)
        run(*house, "ip", "addr", "add", f"{HOUSE}/32", "dev", "eth0")
        run(*house, "ip", "-6", "addr", "add", f"{HOUSE6}/128", "dev", "eth0", "nodad")
        run(*house, "ip", "route", "add", "default", "dev", "eth0", "src", HOUSE)
        run(*house, "ip", "-6", "route", "add", "default", "dev", "eth0", "src", HOUSE6)
        path = f"{work}/resolv.conf"
        with open(path, "w", encoding="ascii") as file:
            file.write(f"nameserver {DNS}\noptions timeout:2 attempts:2\n")
        run("mount", "--bind", path, "/etc/resolv.conf")

    def inside(self):
        """What stands before a command that runs in the house."""
        return ["nsenter", f"--net=/proc/{self.keeper.pid}/ns/net", "--"]

    def stop(self):
        self.keeper.kill()
        self.keeper.wait()


def run(*command):
    subprocess.run(command, check=True)
