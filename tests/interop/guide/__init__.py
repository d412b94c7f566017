"""From a bare machine to Gmail, as docs/guide/gmail.md tells it, in a network of its own; steps.py is the list of what has to hold."""

import json
import os
import subprocess
import sys

import root


def run(report, work):
    """Runs the guide in a network and mount namespace of its own, where it has public addresses, the usual ports and its own DNS."""
    report.heading("the guide: from a bare machine to Gmail")
    for program in ("nsd", "smtp-clients"):
        if why := root.missing(program):
            return report.skip(f"the guide ({program})", why)
    place = f"{work}/guide"
    os.mkdir(place)
    os.chmod(place, 0o755)
    here = os.path.dirname(os.path.abspath(__file__))
    command = ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, f"{here}/main.py", place]
    ended = subprocess.run(command, check=False)
    try:
        with open(f"{place}/counts.json", encoding="ascii") as file:
            counts = json.load(file)
    except (OSError, ValueError):
        return report.check("the guide comes to its end", f"exit code {ended.returncode}")
    report.passed += counts["passed"]
    report.failed += counts["failed"]
    return None
