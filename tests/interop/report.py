"""The lines that people read: one for each check, and a summary."""


class Report:
    """Counts checks as they are told."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, 0, []

    def check(self, name, fault=None):
        """Tells one check: passed if there is no `fault`, which is text for people."""
        if fault is None:
            self.passed += 1
            print(f"ok    {name}", flush=True)
        else:
            self.failed += 1
            print(f"FAIL  {name}", flush=True)
            for line in str(fault).rstrip().splitlines()[:40]:
                print(f"      {line}", flush=True)
        return fault is None

    def skip(self, name, why):
        """Tells that a program is not there."""
        self.skipped.append(name)
        print(f"skip  {name}: {why}", flush=True)

    def note(self, text):
        print(f"note  {text}", flush=True)

    def heading(self, text):
        print(f"\n{text}", flush=True)

    def end(self):
        """Prints the summary; the exit status."""
        skipped = f", skipped: {', '.join(self.skipped)}" if self.skipped else ""
        print(f"\n{self.passed} passed, {self.failed} failed{skipped}", flush=True)
        return 1 if self.failed or not self.passed else 0
