"""A network of one machine: public addresses of its own, and a resolver that all programs find where they look."""

import subprocess

# Nobody is reached by them here: the namespace has no way out. Documentation addresses would be told from public ones.
DNS = "44.128.0.53"
HOUSE, HOUSE6 = "44.128.0.10", "3fff:ffff::10"
BIG, BIG6 = "44.128.1.1", "3fff:ffff:1::1"
OUTSIDE = "44.128.2.1"


def set_up(work):
    """Addresses, and /etc/resolv.conf of this namespace alone."""
    run("ip", "link", "set", "lo", "up")
    # Some programs see whether a machine has IPv4 or IPv6 by addresses that are not on loopback.
    run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
    for link in ("eth0", "eth1"):
        run("ip", "link", "set", link, "up")
    for address in (DNS, HOUSE, BIG, OUTSIDE):
        run("ip", "addr", "add", f"{address}/32", "dev", "eth0")
    for address in (HOUSE6, BIG6):
        run("ip", "-6", "addr", "add", f"{address}/128", "dev", "eth0", "nodad")
    path = f"{work}/resolv.conf"
    with open(path, "w", encoding="ascii") as file:
        file.write(f"nameserver {DNS}\noptions timeout:2 attempts:2\n")
    run("mount", "--bind", path, "/etc/resolv.conf")


def run(*command):
    subprocess.run(command, check=True)
