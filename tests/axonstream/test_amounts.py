"""An amount has one text, and is kept exactly to 12 digits after the point."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.amounts import DIGITS, amount, amount_text, text_pattern
from axonstream.event_fields import MAX_AMOUNT

UNIT = Fraction(1, 10**DIGITS)
TEXTS = re.compile(text_pattern(MAX_AMOUNT))


@given(st.decimals(0, MAX_AMOUNT, allow_nan=False) | st.integers(0, MAX_AMOUNT) | st.floats(0, MAX_AMOUNT))
def test_it_is_the_nearest_with_twelve_digits(value: Any) -> None:
    found = amount(value, MAX_AMOUNT)
    given_value = Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
    assert abs(Fraction(found) - given_value) <= UNIT / 2
    assert (Fraction(found) / UNIT).denominator == 1
    if abs(Fraction(found) - given_value) == UNIT / 2:
        assert Fraction(found) / UNIT % 2 == 0
    text = amount_text(found)
    assert TEXTS.search(text)
    assert Decimal(text) == found == amount(found, MAX_AMOUNT)


@given(st.integers(0, MAX_AMOUNT * 10**DIGITS))
def test_each_amount_of_twelve_digits_is_kept(units: int) -> None:
    value = Decimal(units).scaleb(-DIGITS)
    text = amount_text(amount(value, MAX_AMOUNT))
    assert Decimal(text) == value
    assert "E" not in text
    assert text == "0" or not text.startswith("00")


@given(st.from_regex(TEXTS))
def test_no_other_text_is_one_of_an_amount(text: str) -> None:
    assert amount_text(amount(Decimal(text), MAX_AMOUNT)) == text


@pytest.mark.parametrize(
    "value",
    [True, "1", None, [], -1, -1e-30, 10**6, 10**400, 999_999.1, 1e300, float("nan"), float("inf"), float("-inf")],
)
def test_what_is_no_amount_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="must be a number from 0 to 999999"):
        amount(value, MAX_AMOUNT)


@pytest.mark.parametrize("text", ["NaN", "sNaN", "-NaN", "Infinity", "-1E-999999", "1E+999999", "999999.0000000000001"])
def test_no_decimal_beyond_is_taken(text: str) -> None:
    with pytest.raises(ValueError, match="must be a number from 0 to 999999"):
        amount(Decimal(text), MAX_AMOUNT)


def test_one_next_to_nothing_is_nothing() -> None:
    for text in ("-0", "0E+999", "0.000", "1E-999999", "5E-13"):
        assert str(amount(Decimal(text), MAX_AMOUNT)) == "0"
