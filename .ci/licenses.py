"""Checks the license of every crate that Outpost builds on, from ``cargo metadata`` on standard input.

An SPDX expression passes when some choice of its ORs leaves only licenses of ``ALLOWED``; one that is missing or
cannot be read fails. "GPL-3.0 OR MIT" passes, "MIT AND LGPL-3.0" does not.
"""

import json
import re
import sys
from collections import Counter

ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
}


def is_allowed(expression):
    """Whether an SPDX expression can be satisfied. Raises ``ValueError`` when it is none."""
    # Cargo's old form: "MIT/Apache-2.0" is a choice.
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    result, position = _either(tokens, 0)
    if position != len(tokens):
        raise ValueError(f"unexpected {tokens[position]!r}")
    return result


def _either(tokens, position):
    result, position = _all(tokens, position)
    while position < len(tokens) and tokens[position] == "OR":
        other, position = _all(tokens, position + 1)
        result = result or other
    return result, position


def _all(tokens, position):
    result, position = _one(tokens, position)
    while position < len(tokens) and tokens[position] == "AND":
        other, position = _one(tokens, position + 1)
        result = result and other
    return result, position


def _one(tokens, position):
    if position >= len(tokens) or tokens[position] in {")", "AND", "OR", "WITH"}:
        raise ValueError("a license is missing")
    if tokens[position] == "(":
        result, position = _either(tokens, position + 1)
        if position >= len(tokens) or tokens[position] != ")":
            raise ValueError("a parenthesis is not closed")
        return result, position + 1
    result = tokens[position].removesuffix("+") in ALLOWED
    position += 1
    if position < len(tokens) and tokens[position] == "WITH":
        # An exception only adds permissions.
        if position + 1 >= len(tokens):
            raise ValueError("an exception is missing")
        position += 2
    return result, position


def main():
    """Prints the licenses in use, then each crate that fails; exit code 1 when there is one."""
    metadata = json.load(sys.stdin)
    resolved = {node["id"] for node in metadata["resolve"]["nodes"]}
    own = set(metadata["workspace_members"])
    failures, counts = [], Counter()
    for package in metadata["packages"]:
        if package["id"] not in resolved or package["id"] in own:
            continue
        license_ = package["license"]
        counts[license_] += 1
        try:
            good = license_ is not None and is_allowed(license_)
        except ValueError as error:
            license_, good = f"{license_} ({error})", False
        if not good:
            failures.append(f"{package['name']} {package['version']}: {license_ or 'no license given'}")
    for license_, count in counts.most_common():
        print(f"{count:4}  {license_}")
    for failure in sorted(failures):
        print(f"not allowed: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
