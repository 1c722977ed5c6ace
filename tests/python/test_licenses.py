"""The license check reads SPDX expressions as SPDX means them."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / ".ci"))

from licenses import is_allowed  # noqa: E402


@pytest.mark.parametrize(
    "expression,allowed",
    [
        ("MIT", True),
        ("MIT OR Apache-2.0", True),
        ("MIT/Apache-2.0", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-only", False),
        ("LGPL-2.1-or-later", False),
        ("AGPL-3.0", False),
        ("MIT OR GPL-3.0", True),
        ("MIT AND GPL-3.0", False),
        ("(MIT OR GPL-3.0) AND ISC", True),
        ("(MIT OR Apache-2.0) AND (LGPL-2.1 OR GPL-2.0)", False),
        # AND binds tighter than OR.
        ("GPL-2.0 AND MIT OR ISC", True),
        ("GPL-2.0 AND (MIT OR ISC)", False),
        ("Apache-2.0+", True),
        ("Proprietary", False),
    ],
)
def test_expressions(expression, allowed):
    assert is_allowed(expression) is allowed


@pytest.mark.parametrize("expression", ["", "MIT OR", "(MIT", "MIT)", "AND MIT", "MIT WITH", "MIT Apache-2.0"])
def test_what_is_no_expression_is_told(expression):
    with pytest.raises(ValueError):
        is_allowed(expression)
