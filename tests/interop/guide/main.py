"""Plays the guide inside its own network; started by __init__.py within new namespaces. Its counts go into counts.json."""

import json
import os
import sys
import traceback

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

import network
from big import Big, Outside
from house import House
from names import Names
from report import Report
from steps import STEPS, Play


def main():
    work = sys.argv[1]
    machines = network.Machines(work)
    report = Report()
    names = Names(work)
    outside, big = Outside(work), Big(work)
    names.fixed["outside.test"].append(outside.record)
    names.restart()
    play = Play(report, work, names, House(work, machines), big, outside)
    try:
        for number, (title, step) in enumerate(STEPS, 1):
            report.heading(f"{number}. {title}")
            try:
                step(play)
            except Exception as error:  # One step that cannot go on must not hide the others.
                where = "".join(traceback.format_exception(error)[-2:])
                report.check(f"{number}. {title}: comes to its end", where)
        play.the_pages()
    finally:
        play.stop()
        machines.stop()
        with open(f"{work}/counts.json", "w", encoding="ascii") as file:
            json.dump({"passed": report.passed, "failed": report.failed}, file)
    os._exit(0)


if __name__ == "__main__":
    main()
