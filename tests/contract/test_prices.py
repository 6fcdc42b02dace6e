"""Which price a call has, and what it costs by it: against the same in decimals, as slow and plain as can be."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from axonstream.contract import prices
from axonstream.contract.prices import DECIMALS, MAX_USD, Price, Priced, PriceList
from axonstream.event_contract import MAX_ID

NAMES = st.text("ab/é", min_size=1, max_size=4)
TIMES = st.integers(0, 4)
AMOUNTS = st.none() | st.decimals(0, MAX_USD, places=DECIMALS) | st.sampled_from([Decimal(0), Decimal("2.50")])
PRICES = st.builds(Price, NAMES, TIMES, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)
COUNTS = st.none() | st.integers(0, 3) | st.integers(0, MAX_ID)


def expected_price(listed: list[Price], model: str, at_ms: int) -> Price | None:
    begun = [price for price in listed if price.valid_from_ms <= at_ms and model.startswith(price.model)]
    if not begun:
        return None
    longest = max(len(price.model) for price in begun)
    newest = max(price.valid_from_ms for price in begun if len(price.model) == longest)
    return [price for price in begun if (len(price.model), price.valid_from_ms) == (longest, newest)][-1]


def expected_usd(price: Price, counts: tuple[int | None, ...]) -> Decimal | None:
    """In US dollars, to 1e-12."""
    if all(count is None for count in counts):
        return None
    of_input, of_output, of_cached, of_reasoning = price.input, price.output, price.cached_input, price.reasoning
    if of_input is None and of_output is None and of_cached is None and of_reasoning is None:
        return None
    given_in, given_out, cached, reasoning = (Decimal(count or 0) for count in counts)
    used = [
        (max(given_in - cached, Decimal(0)), of_input),
        (max(given_out - reasoning, Decimal(0)), of_output),
        (cached, of_input if of_cached is None else of_cached),
        (reasoning, of_output if of_reasoning is None else of_reasoning),
    ]
    if any(tokens and amount is None for tokens, amount in used):
        return None
    total = sum((tokens * amount for tokens, amount in used if amount is not None), Decimal(0))
    return (total / 1_000_000).quantize(Decimal("1e-12"), ROUND_HALF_EVEN)


@given(listed=st.lists(PRICES, max_size=8), model=NAMES | st.just(""), at_ms=TIMES)
def test_the_exact_name_is_taken_else_the_longest_that_the_model_begins_with_and_its_newest_price(
    listed: list[Price], model: str, at_ms: int
) -> None:
    price_list = PriceList(listed)
    for _ in range(2):  # once looked up, and once remembered
        assert price_list.find(model, at_ms) == expected_price(listed, model, at_ms)


@given(price=PRICES, counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS))
@example(Price("a", 0, input=Decimal("0.0000005")), (1, None, None, None))  # half of the last digit: down to even
@example(Price("a", 0, input=Decimal("0.0000015")), (1, None, None, None))  # up to even
def test_a_cost_is_that_of_decimals_rounded_once(price: Price, counts: tuple[int | None, ...]) -> None:
    found = PriceList([price]).cost(price.model, price.valid_from_ms, *counts)
    with localcontext(prec=60):
        expected = expected_usd(price, counts)
        assert (None if found is None else Decimal(found.picodollars).scaleb(-12)) == expected
    if found is not None:
        assert type(found.picodollars) is int


def cost(
    price: Price,
    given_in: int | None = None,
    given_out: int | None = None,
    cached: int | None = None,
    reasoning: int | None = None,
) -> int | None:
    found = PriceList([price]).cost("m", 0, given_in, given_out, cached, reasoning)
    return None if found is None else found.picodollars


def a_price(**amounts: str) -> Price:
    return Price("m", 0, **{kind: Decimal(amount) for kind, amount in amounts.items()})


def test_cached_and_reasoning_tokens_are_a_part_of_the_others() -> None:
    price = a_price(input="2", output="10", cached_input="1", reasoning="20")
    assert cost(price, 1000, 100) == 1000 * 2_000_000 + 100 * 10_000_000
    assert cost(price, 1000, 100, 400, 30) == 600 * 2_000_000 + 400 * 1_000_000 + 70 * 10_000_000 + 30 * 20_000_000
    plain = a_price(input="2", output="10")
    assert cost(plain, 1000, 100, 400, 30) == cost(plain, 1000, 100)


def test_more_cached_than_input_tokens_are_all_charged_and_nothing_below_zero() -> None:
    price = a_price(input="2", output="10", cached_input="1", reasoning="20")
    assert cost(price, 10, None, 50) == 50 * 1_000_000
    assert cost(price, None, None, 50) == 50 * 1_000_000
    assert cost(price, None, 10, None, 50) == 50 * 20_000_000
    assert cost(price, None, None, None, 50) == 50 * 20_000_000


def test_what_is_not_known_is_none_and_never_zero() -> None:
    embedding = a_price(input="2")
    assert cost(embedding, 10) == cost(embedding, 10, 0, 0, 0) == 10 * 2_000_000
    assert cost(embedding, 10, 1) is None, "there is no price for the output"
    assert cost(embedding, 10, 0, 0, 1) is None
    assert cost(embedding) is None, "no tokens were given"
    assert cost(a_price(cached_input="1"), 10, None, 5) is None, "half of it has no price"
    assert cost(Price("m", 0), 0, 0) is None, "this price says that there is none"
    assert cost(Price("other", 0, Decimal(1)), 10) is None
    assert cost(Price("m", 1, Decimal(1)), 10) is None, "it begins later"


def test_tokens_that_cost_nothing_are_known_to() -> None:
    assert cost(a_price(input="0", output="0"), 10, 10) == 0
    assert cost(a_price(input="1"), 0) == 0


def test_the_price_that_was_used_is_told() -> None:
    used = Price("gpt-x", 1_767_225_600_000, Decimal("2.50"), Decimal(100), reasoning=Decimal("1E-7"))
    found = PriceList([Price("gpt", 0, Decimal(1)), used]).cost("gpt-x-mini", 1_800_000_000_000, 1, None, None, None)
    assert found is not None
    assert found == Priced(
        2_500_000,
        '{"model":"gpt-x","validFrom":"2026-01-01T00:00:00Z",'
        '"usdPerMillionTokens":{"input":"2.5","output":"100","reasoning":"0.0000001"}}',
    )
    assert json.loads(found.price) == used.document()


def test_the_last_price_of_a_name_and_time_counts() -> None:
    listed = PriceList([Price("b", 5), Price("a", 7, Decimal(1)), Price("a", 3), Price("a", 7, Decimal(2))])
    assert list(listed) == [Price("a", 3), Price("a", 7, Decimal(2)), Price("b", 5)]
    assert len(listed) == 3
    assert listed.get("a", 7) == Price("a", 7, Decimal(2))
    assert listed.get("a", 6) is listed.get("aa", 7) is None


def test_models_that_senders_make_up_take_no_memory() -> None:
    listed = PriceList([Price("m", 0, Decimal(1))])
    for number in range(3 * prices._REMEMBERED):
        assert listed.find(f"m{number}", 0) is not None
        assert len(listed._rates) <= prices._REMEMBERED


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": "-1"}, {"output": "1e-13"}, {"cached_input": "NaN"}, {"reasoning": "1000000.1"}, {"input": "x"},
        {"model": ""}, {"model": "a\x00"}, {"model": "a" * 257}, {"valid_from_ms": -1},
    ],
)  # fmt: skip
def test_a_price_outside_of_its_bounds_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Price(**({"model": "a", "valid_from_ms": 0} | wrong))  # pyright: ignore[reportArgumentType]  it is wrong
