"""A DNS server for the zone of the checks, over UDP and TCP; it knows names below .test and nothing else."""

import socket
import socketserver
import struct
import threading

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

TTL_SECONDS = 60
UDP_OCTETS = 512


class Zone:
    """Records, added while it serves."""

    def __init__(self, address, port):
        self.address, self.port = address, port
        self.records = {}
        self.servers = [_Udp((address, port), _UdpQuery), _Tcp((address, port), _TcpQuery)]
        for server in self.servers:
            server.zone = self
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()

    def add(self, name, kind, value):
        """`value` as in a zone file; that of TXT without quotes, however long."""
        if kind == "TXT":
            octets = value.encode()
            pieces = [octets[start : start + 255].decode() for start in range(0, len(octets), 255)]
            value = " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces)
        if kind in ("MX", "CNAME", "NS", "PTR"):
            value = value.rstrip(".") + "."
        name = dns.name.from_text(name.lower())
        records = self.records.setdefault(name, {})
        kind = dns.rdatatype.from_text(kind)
        given = dns.rrset.from_text(name, TTL_SECONDS, dns.rdataclass.IN, kind, value)
        records.setdefault(kind, dns.rrset.RRset(name, dns.rdataclass.IN, kind)).update(given)

    def answer(self, wire, limit):
        """The reply to a query, cut to `limit` octets or what the query allows (RFC 6891)."""
        query = dns.message.from_wire(wire)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA | dns.flags.RA
        question = query.question[0]
        records = self.records.get(question.name.canonicalize())
        if records is None and not any(known.is_subdomain(question.name) for known in self.records):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif records and question.rdtype in records:
            reply.answer.append(records[question.rdtype])
        try:
            return reply.to_wire(max_size=max(limit, query.payload if query.edns >= 0 else 0))
        except dns.exception.TooBig:
            short = dns.message.make_response(query)
            short.flags |= dns.flags.AA | dns.flags.RA | dns.flags.TC
            return short.to_wire()

    def stop(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _UdpQuery(socketserver.BaseRequestHandler):
    def handle(self):
        wire, sock = self.request
        try:
            sock.sendto(self.server.zone.answer(wire, UDP_OCTETS), self.client_address)
        except (dns.exception.DNSException, IndexError):
            pass  # No query: no answer.


class _TcpQuery(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            while len(head := self.rfile.read(2)) == 2:
                wire = self.rfile.read(struct.unpack("!H", head)[0])
                reply = self.server.zone.answer(wire, 65535)
                self.wfile.write(struct.pack("!H", len(reply)) + reply)
        except (dns.exception.DNSException, IndexError, OSError):
            pass


def serve():
    """A zone on an address of loopback; at port 53, which programs cannot be told otherwise, if that may be had."""
    for last in range(1, 20):
        try:
            return Zone(f"127.0.53.{last}", 53)
        except OSError:
            continue
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Zone("127.0.0.1", port)
