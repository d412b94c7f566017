"""The DNS: nsd with the zones of everybody in this play. What a person would paste is pasted here, as it was printed."""

import ipaddress
import time

import dns.exception
import dns.query
import dns.message
import dns.rcode
import network
from root import Root, eventually

SOA = "@ 60 IN SOA ns hostmaster {serial} 60 60 600 1\n@ 60 IN NS ns\n"


class Names:
    """One server for all zones; `pasted` are lines of zone files that come and go."""

    def __init__(self, work):
        self.root = Root("nsd", work, {"nsd": 101}, network.DNS)
        self.address, self.port = network.DNS, 53
        self.serial = int(time.time())
        self.pasted = []
        self.challenges = {}
        self.fixed = {
            ".": [],
            "wac.test": [f"@ 60 IN A {network.HOUSE}", f"smtp 60 IN A {network.HOUSE}", f"smtp 60 IN AAAA {network.HOUSE6}"],
            "gmail.test": [
                "@ 60 IN MX 10 mx",
                f"mx 60 IN A {network.BIG}",
                f"mx 60 IN AAAA {network.BIG6}",
                '@ 60 IN TXT "v=spf1 mx -all"',
                '_dmarc 60 IN TXT "v=DMARC1; p=none"',
            ],
            "outside.test": [
                "@ 60 IN MX 10 out",
                f"out 60 IN A {network.OUTSIDE}",
                '@ 60 IN TXT "v=spf1 mx -all"',
                '_dmarc 60 IN TXT "v=DMARC1; p=reject"',
            ],
            "44.in-addr.arpa": [pointer(network.BIG, "mx.gmail.test"), pointer(network.OUTSIDE, "out.outside.test")],
            "f.f.f.3.ip6.arpa": [pointer(network.BIG6, "mx.gmail.test")],
        }

    def add(self, *_):
        """What the usual harness publishes; this one pastes."""

    def paste(self, lines):
        """Publishes exactly these lines beside the fixed ones."""
        self.pasted = [line for line in lines if line.strip() and not line.startswith(";")]
        self.restart()

    def challenge(self, verb, name, value):
        """What a dns-01 hook asks for."""
        values = self.challenges.setdefault(name, [])
        if verb == "add":
            values.append(value)
        elif value in values:
            values.remove(value)
        self.restart()

    def text(self, zone):
        self.serial += 1
        origin = "." if zone == "." else f"{zone}."
        lines = [f"$ORIGIN {origin}", SOA.format(serial=self.serial), f"ns 60 IN A {network.DNS}", *self.fixed[zone]]
        given = self.pasted + [f'{name}. 1 IN TXT "{value}"' for name, values in self.challenges.items() for value in values]
        lines += [line for line in given if zone != "." and self.zone_of(line.split()[0]) == zone]
        return "\n".join(lines) + "\n"

    def zone_of(self, name):
        """The zone that a line belongs to, by its name."""
        name = name.rstrip(".")
        return max((zone for zone in self.fixed if zone != "." and (name == zone or name.endswith(f".{zone}"))), key=len, default=".")

    def restart(self):
        self.root.stop()
        lines = ["server:", f"  ip-address: {network.DNS}", "  port: 53", '  username: ""', '  chroot: ""', '  pidfile: "/run/nsd.pid"', '  database: ""']
        lines += ['  zonesdir: "/zones"', '  zonelistfile: "/run/zone.list"', '  xfrdfile: "/run/xfrd.state"', "  server-count: 1"]
        lines += ["remote-control:", "  control-enable: no"]
        for zone in self.fixed:
            file = "root" if zone == "." else zone
            self.root.write(f"zones/{file}", self.text(zone))
            lines += ["zone:", f'  name: "{zone}"', f'  zonefile: "{file}"']
        self.root.write("etc/nsd/nsd.conf", "\n".join(lines) + "\n")
        self.root.start("/usr/sbin/nsd", "-d", "-c", "/etc/nsd/nsd.conf")
        if not eventually(self.answers, 20):
            raise RuntimeError(f"nsd does not answer\n{self.root.said()}")

    def answers(self):
        """True once it serves all zones as they are now."""
        for zone in self.fixed:
            try:
                answer = dns.query.udp(dns.message.make_query(zone, "SOA"), network.DNS, 1)
            except (OSError, dns.exception.DNSException):
                return False
            if answer.rcode() != dns.rcode.NOERROR or not answer.answer:
                return False
        return True

    def stop(self):
        self.root.stop()


def pointer(address, name):
    """A line that leads from an address back to a name."""
    return f"{ipaddress.ip_address(address).reverse_pointer}. 60 IN PTR {name}."
