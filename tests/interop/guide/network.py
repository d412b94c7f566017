"""A network of one machine: public addresses on loopback, and a resolver that all programs find where they look."""

import subprocess

# Nobody is reached by them here: the namespace has no way out. Documentation addresses would be told from public ones.
DNS = "44.128.0.53"
HOUSE, HOUSE6 = "44.128.0.10", "3fff:ffff::10"
BIG, BIG6 = "44.128.1.1", "3fff:ffff:1::1"
OUTSIDE = "44.128.2.1"


def set_up(work):
    """Addresses, and /etc/resolv.conf of this namespace alone."""
    run("ip", "link", "set", "lo", "up")
    for address in (DNS, HOUSE, BIG, OUTSIDE):
        run("ip", "addr", "add", f"{address}/32", "dev", "lo")
    for address in (HOUSE6, BIG6):
        run("ip", "-6", "addr", "add", f"{address}/128", "dev", "lo", "nodad")
    path = f"{work}/resolv.conf"
    with open(path, "w", encoding="ascii") as file:
        file.write(f"nameserver {DNS}\noptions timeout:2 attempts:2\n")
    run("mount", "--bind", path, "/etc/resolv.conf")


def run(*command):
    subprocess.run(command, check=True)
