"""Prices as records of the control topic."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.contract.price_records import PriceRecordError, RecordedPrices, encode_price, is_price, price_key
from axonstream.contract.prices import DECIMALS, MAX_USD, Price, PriceList
from axonstream.event_contract import MAX_TIME_MS

AMOUNTS = st.none() | st.decimals(0, MAX_USD, places=DECIMALS)
NAMES = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=64)
PRICES = st.builds(Price, NAMES, st.integers(0, MAX_TIME_MS), AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)


@given(wanted=st.lists(PRICES, max_size=5))
def test_what_was_written_is_read(wanted: list[Price]) -> None:
    recorded = RecordedPrices()
    for price in wanted:
        assert recorded.take(*encode_price(price))
    assert list(recorded.price_list()) == list(PriceList(wanted))


def test_the_last_record_of_a_key_counts_and_a_tombstone_removes_it() -> None:
    recorded = RecordedPrices()
    for price in (Price("a/b", 5, Decimal(1)), Price("a/b", 5, Decimal(2)), Price("a/b", 6), Price("c", 5)):
        recorded.take(*encode_price(price))
    recorded.take(price_key("a/b", 6), None)
    recorded.take(price_key("never there", 6), None)
    assert list(recorded.price_list()) == [Price("a/b", 5, Decimal(2)), Price("c", 5)]


@pytest.mark.parametrize("key", [None, b"", b"app/1/5", b"deletion/1/7", b"audit//9", b"prices/a/5"])
def test_records_of_other_kinds_are_passed_over(key: bytes | None) -> None:
    recorded = RecordedPrices()
    assert not is_price(key)
    assert not recorded.take(key, b"{}")
    assert len(recorded.price_list()) == 0


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"[]", b'{"model":"a"}', b'{"model":"a","valid_from_ms":6}', b'{"model":"b","valid_from_ms":5}',
     b'{"model":"a","valid_from_ms":5,"input":"-1"}', b'{"model":"a","valid_from_ms":5,"input":"NaN"}'],
)  # fmt: skip
def test_a_record_that_is_not_readable_leaves_no_price_at_its_key(value: bytes) -> None:
    recorded = RecordedPrices()
    recorded.take(*encode_price(Price("a", 5, Decimal(1))))
    with pytest.raises(PriceRecordError, match="price/a/5"):
        recorded.take(price_key("a", 5), value)
    assert len(recorded.price_list()) == 0


def test_a_later_version_may_say_more() -> None:
    recorded = RecordedPrices()
    assert recorded.take(b"price/a/5", b'{"model":"a","valid_from_ms":5,"input":"2.50","image":"7","currency":"USD"}')
    assert list(recorded.price_list()) == [Price("a", 5, Decimal("2.5"))]
