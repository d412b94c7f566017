"""schemathesis reads the OpenAPI document of the running gateway and sends what it makes of it, valid and not."""

import datetime
import glob
import json
import os
import re
import subprocess
import sys

from gateway import DOMAIN, PROJECT

SECONDS = int(os.environ.get("PENNYPOST_INTEROP_FUZZ_SECONDS", "120"))
SEED = os.environ.get("PENNYPOST_INTEROP_SEED", "1")
# What every answer is held to. Left out: positive_data_acceptance, for a schema cannot say all that makes a request acceptable
# (a domain of one's own, a cursor that was given out), object_level_authorization, which needs two projects, and
# ensure_resource_availability, for one of the workers may remove what another has just made.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ignored_auth",
]
# Written by schemathesis: what each code of a failure means is told by `st explain`.
NAME = "schemathesis"


def run(report, gateway, work):
    program = f"{os.path.dirname(sys.executable)}/st"
    if not os.path.exists(program):
        report.skip(NAME, "could not be installed")
        return
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    report.heading(f"the OpenAPI document against the running gateway ({NAME} {version}, {SECONDS} s)")
    key = gateway.command("key", "create", "--name", "fuzz", "--scope", "full")
    folder, log = f"{work}/{NAME}", f"{work}/{NAME}.log"
    command = [program, "--config-file", f"{PROJECT}/tests/interop/{NAME}.toml", "run", f"{gateway.url}/openapi.json", "--url", gateway.url, "--header", f"Authorization: Bearer {key['key']}"]
    command += ["--checks", ",".join(CHECKS), "--max-time", str(SECONDS), "--continue-on-failure", "--workers", "2", "--request-timeout", "20"]
    command += ["--report", "json", "--report-dir", folder, "--warnings", "off", "--seed", SEED]
    # Run where it may keep its examples, not in the repository.
    env = {**os.environ, "NO_COLOR": "1", "SCHEMATHESIS_HOOKS": "fuzz_hooks", "PENNYPOST_INTEROP_KNOWN": json.dumps({**known(gateway), "keep": [key["id"], gateway.domain_id]})}
    env["PYTHONPATH"] = f"{PROJECT}/tests/interop"
    with open(log, "wb") as out:
        ended = subprocess.run(command, stdout=out, stderr=out, cwd=work, check=False, timeout=SECONDS * 3 + 120, env=env)
    tell(report, folder, log, ended.returncode)
    reached(report, gateway)


def known(gateway):
    """Messages in several states, a sender, a recipient whose domain does not exist."""
    sender, recipient = f"penny@{DOMAIN}", "someone@nowhere.test"
    request = {"from": sender, "to": recipient, "subject": "Known", "text": "Known."}
    later = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=20)).isoformat()
    messages = [gateway.send({**request, "send_at": later}) for _ in range(4)] + [gateway.send(request)]
    gateway.settled(messages[-1])
    return {"messages": messages, "domain": gateway.domain_id, "from": sender, "to": recipient}


def tell(report, folder, log, status):
    """One line for each kind of check that failed, or one for all."""
    with open(log, encoding="utf-8", errors="replace") as file:
        said = file.read()
    written = glob.glob(f"{folder}/json*.json")
    if not written:
        report.check(f"{NAME} runs", said[-4000:])
        return
    with open(written[0], encoding="utf-8") as file:
        found = json.load(file)
    cases = found["test_cases"]["generated"]
    fault = None if status == 0 else said[said.find("FAILURES") - 40 :]
    report.check(f"{cases} cases: no 5xx, no status, content type or field that is not documented, nothing wrong is taken", fault)


def reached(report, gateway):
    """The gateway's own count: a run that never got past refusals would prove little."""
    metrics = gateway.call("GET", "/metrics")[1].decode()
    counted = re.findall(r'pennypost_http_requests_total\{route="([^"]+)",status="(\d+)"\} (\d+)', metrics)
    document = json.loads(gateway.call("GET", "/openapi.json")[1])
    good = {route for route, status, _ in counted if status.startswith("2")}
    missing = sorted(set(document["paths"]) - good)
    report.check(f"each of {len(document['paths'])} paths was answered 2xx too", f"never: {missing}" if missing else None)
    wrong = [f"{route} {status}: {count}" for route, status, count in counted if status.startswith("5")]
    report.check("the gateway itself counted no 5xx", "\n".join(wrong) or None)
