"""Which pinned versions have known vulnerabilities? Tells "none known" from "could not be asked".

    python scripts/audit.py constraints.txt

Asks pip-audit, which ends with 0 as well where its service of advisories answered for no package at all. Here the
exit status is 0 where the service answered for every package and knows of nothing, 1 where it knows of something, and 2
where it could not be asked about some packages.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

CLEAN, FOUND, NOT_ASKED = 0, 1, 2


def judge(report: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Return the exit status and the lines that say why, of a report that pip-audit made as JSON.

    >>> judge({"dependencies": [{"name": "a", "version": "1", "vulns": []}]})
    (0, ['1 of 1 packages asked about, none with a known vulnerability'])
    >>> judge({"dependencies": [{"name": "a", "skip_reason": "not found"}]})
    (2, ['could not be asked about 1 of 1 packages: a'])
    """
    packages = report["dependencies"]
    asked = [package for package in packages if "skip_reason" not in package]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, mended in {found['fix_versions'] or 'no version yet'}"
        for package in asked
        for found in package["vulns"]
    ]
    status = FOUND if lines else NOT_ASKED if skipped or not packages else CLEAN
    if not lines and asked:
        lines.append(f"{len(asked)} of {len(packages)} packages asked about, none with a known vulnerability")
    if skipped or not packages:
        lines.append(f"could not be asked about {len(skipped)} of {len(packages)} packages: {', '.join(skipped)}")
    return status, lines


def ask(path: str, service: str) -> tuple[int, list[str]]:
    """Return the exit status and the lines that say why, of the versions in a file of constraints."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--requirement",
        path,
        "--no-deps",
        "--disable-pip",
        "--format",
        "json",
    ]
    run = subprocess.run([*command, "--progress-spinner", "off", "-s", service], capture_output=True, text=True)
    try:
        return judge(json.loads(run.stdout))
    except ValueError:
        last = run.stderr.strip().rsplit("\n", 1)[-1]
        return NOT_ASKED, [f"pip-audit could not ask its service ({service}) about {path}: {last}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is known of the pinned versions and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", help="a file of exact versions, one per line")
    parser.add_argument("--service", choices=["pypi", "osv"], default="pypi", help="whose advisories are asked for")
    options = parser.parse_args(arguments)
    status, lines = ask(options.path, options.service)
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
