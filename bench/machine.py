"""Processes of a measurement: starting, stopping by pid, and what they cost.

Processor time of a tree counts every process below a root, and what the root reaped of those that ended in between.
"""

import os
import shutil
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, seconds=15.0, host="127.0.0.1"):
    """Seconds until something accepts connections."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, port)) == 0:
                return time.monotonic() - start
        time.sleep(0.002)
    raise SystemExit(f"bench: nothing listens on port {port} after {seconds:.0f} s")


def find(program):
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin:/sbin")


class Process:
    """A child of ours, stopped by its pid."""

    def __init__(self, command, log, env=None):
        self.log_path = log
        with open(log, "ab") as out:
            self.child = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **(env or {})})
        self.pid = self.child.pid

    def stop(self, seconds=30):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode

    def wait(self, seconds):
        """True if it ended by itself in time."""
        try:
            self.child.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def _stat(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    # After the name: state, parent, ...; user, system, and both of reaped children are fields 14 to 17 of proc(5).
    return int(fields[1]), sum(int(field) for field in fields[11:15])


def cpu_seconds(*roots):
    """Processor time of the trees below `roots`."""
    parents, times = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parents[int(entry)], times[int(entry)] = _stat(int(entry))
            except (OSError, IndexError):
                continue
    total = 0
    for pid, ticks in times.items():
        above = pid
        while above not in roots and above in parents:
            above = parents[above]
        if above in roots:
            total += ticks
    return total / TICK


def peak_mib(pid):
    return _memory_mib(pid, "VmHWM:")


def resident_mib(pid):
    return _memory_mib(pid, "VmRSS:")


def _memory_mib(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(field):
                return int(line.split()[1]) / 1024
    return 0.0
