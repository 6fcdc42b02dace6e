"""Amounts of money, exact to `DIGITS` places after the point: of what a sender gives, one text for each amount.

The text is what stands in a Kafka record: no exponent, no zeros at its end, "0" for nothing. Only plain Python.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

DIGITS = 12

_LEAST = Decimal(1).scaleb(-DIGITS)
_exact = Context(prec=50, rounding=ROUND_HALF_EVEN)


def amount(value: object, most: int) -> Decimal:
    """The amount that a sender gave: what has more digits after the point is rounded half to even.

    A float counts as its shortest repr. Raises ValueError for what is no number from 0 to `most`.
    """
    if isinstance(value, Decimal):
        given = value
    elif isinstance(value, float):
        given = Decimal(float.__repr__(value))
    elif isinstance(value, int) and not isinstance(value, bool):
        given = Decimal(value)
    else:
        raise ValueError(f"must be a number from 0 to {most}, and no text")  # noqa: TRY004  for pydantic to report
    if not given.is_finite() or not 0 <= given <= most:
        raise ValueError(f"must be a number from 0 to {most}")
    return Decimal(amount_text(given.quantize(_LEAST, context=_exact)))


def amount_text(value: Decimal) -> str:
    """The one text of an amount."""
    return f"{value.normalize(_exact):f}" if value else "0"


def text_pattern(most: int) -> str:
    """What matches the texts of all amounts from 0 to `most`, and nothing else; `most` is all nines."""
    return rf"^(?:{most}|(?!{most})(?:0|[1-9][0-9]{{0,{len(str(most)) - 1}}})(?:\.[0-9]{{0,{DIGITS - 1}}}[1-9])?)\Z"
