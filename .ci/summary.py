"""Sums up pytest's JUnit reports: each skipped check with its reason, then ``N passed, N failed``."""

import sys
import xml.etree.ElementTree as ElementTree


def main(paths):
    """Exit code 0 when every report can be read, something passed, and nothing failed."""
    passed = failed = 0
    for path in paths:
        try:
            cases = list(ElementTree.parse(path).iter("testcase"))
        except (OSError, ElementTree.ParseError) as error:
            print(f"no report of this run: {path}: {error}")
            failed += 1
            continue
        for case in cases:
            skipped = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif skipped is not None:
                print(f"skipped: {case.get('name')}: {skipped.get('message')}")
            else:
                passed += 1
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
