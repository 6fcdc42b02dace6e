"""The prices on the control topic: one record for each name and time, of no tenant. The operator's commands write them,
processors read them.

A price that is set again for the same name and time replaces the one before: it has its key. A tombstone removes it.
"""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from axonstream.contract.prices import Price, PriceList

PRICE_KEYS = b"price/"  # of the control topic: price/NAME/VALID_FROM_MS; a name may hold a slash
MOST_PRICES = 5_000  # every processor holds them in memory

_FORM = TypeAdapter(Price)


class PriceRecordError(ValueError):
    """A record at the key of a price that no version of axonstream wrote, or a later one; the message says why."""


def price_key(name: str, valid_from_ms: int) -> bytes:
    """Where the price of this name and time stands."""
    return PRICE_KEYS + f"{name}/{valid_from_ms}".encode()


def encode_price(price: Price) -> tuple[bytes, bytes]:
    """Key and value for Kafka."""
    return price_key(price.model, price.valid_from_ms), _FORM.dump_json(price, exclude_none=True)


def is_price(key: bytes | None) -> bool:
    """Whether a key of the control topic is one of a price."""
    return key is not None and key.startswith(PRICE_KEYS)


class RecordedPrices:
    """What the records of the control topic come to, read in their order."""

    def __init__(self) -> None:
        self._prices: dict[bytes, Price] = {}

    def take(self, key: bytes | None, value: bytes | None) -> bool:
        """Take a record; False for one of another kind. Raises PriceRecordError: then there is no price at its key."""
        if key is None or not is_price(key):
            return False
        self._prices.pop(key, None)
        if value is None:
            return True
        try:
            price = _FORM.validate_json(value)
        except ValidationError as error:
            raise PriceRecordError(f"{key!r:.300}: {str(error).splitlines()[0]}") from None
        if price_key(price.model, price.valid_from_ms) != key:
            raise PriceRecordError(f"{key!r:.300}: the price there is of another name or time")
        self._prices[key] = price
        return True

    def price_list(self) -> PriceList:
        """As it is now."""
        return PriceList(self._prices.values())
