"""What tokens cost: prices that the operator owns, and the cost of one LLM call by them. Plain state: no I/O, no clock.

A price holds for the model of its name and, where no longer name fits, for every model whose name begins with it. It
holds from a time on, until the next price of the same name. What a call costs is exact: whole numbers of 1e-18 USD are
added, and rounded once, half to even, to 1e-12 USD.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from axonstream.event_contract import MAX_TIME_MS, Name
from axonstream.unix_ms import iso_milliseconds, iso_seconds

DECIMALS = 12
MAX_USD = 1_000_000  # for 1,000,000 tokens
_FINER = 10**6  # the rates below are in 1e-18 USD, what they come to in 1e-12
_HALF = _FINER // 2
_REMEMBERED = 4_096  # models; their names are the senders'


def _plain(amount: Decimal) -> Decimal:
    """2.50 and 2.5 are one amount, and so are -0 and 0."""
    return (amount + 0).normalize()


Amount = Annotated[Decimal, Field(ge=0, le=MAX_USD, decimal_places=DECIMALS), AfterValidator(_plain)]


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for 1,000,000 tokens of each kind; None is a kind without a price of its own.

    Cached tokens are a part of the input and reasoning tokens a part of the output: without a price of their own they
    cost what those cost. A price without any kind says that from then on the model has no price.
    """

    model: Annotated[Name, Field(min_length=1)]
    valid_from_ms: Annotated[int, Field(ge=0, le=MAX_TIME_MS)]
    input: Amount | None = None
    output: Amount | None = None
    cached_input: Amount | None = None
    reasoning: Amount | None = None

    def amounts(self) -> dict[str, str]:
        """The amounts that are there, by the name of their kind in JSON, as decimals without an exponent."""
        amounts = {
            "input": self.input,
            "output": self.output,
            "cachedInput": self.cached_input,
            "reasoning": self.reasoning,
        }
        return {kind: f"{amount:f}" for kind, amount in amounts.items() if amount is not None}

    def document(self) -> dict[str, Any]:
        """As people and programs see it: in files, in lists, and in the row of a call that it was used for."""
        return {"model": self.model, "validFrom": shown_time(self.valid_from_ms), "usdPerMillionTokens": self.amounts()}


class Priced(NamedTuple):
    """What a call costs, in whole 1e-12 USD, and the price that was used: the JSON of its document."""

    picodollars: int
    price: str


class _Rate(NamedTuple):
    """A price as the fold needs it, in 1e-18 USD for one token; `text` is "" where it has no amount at all."""

    valid_from_ms: int
    input: int | None
    output: int | None
    cached_input: int | None
    reasoning: int | None
    text: str
    price: Price


class PriceList:
    """Never changed: another list takes its place. Of two prices with the same name and time, the last one counts."""

    def __init__(self, prices: Iterable[Price] = ()) -> None:
        by_name: dict[str, dict[int, Price]] = {}
        for price in prices:
            by_name.setdefault(price.model, {})[price.valid_from_ms] = price
        self._by_name = {name: dict(sorted(by_name[name].items())) for name in sorted(by_name)}
        self._lengths = sorted(set(map(len, by_name)), reverse=True)
        self._rates: dict[str, tuple[_Rate, ...]] = {}

    def __iter__(self) -> Iterator[Price]:
        """By name, then by time."""
        return (price for prices in self._by_name.values() for price in prices.values())

    def __len__(self) -> int:
        return sum(map(len, self._by_name.values()))

    def get(self, name: str, valid_from_ms: int) -> Price | None:
        """The price that was set for exactly this name and time."""
        return self._by_name.get(name, {}).get(valid_from_ms)

    def find(self, model: str, at_ms: int) -> Price | None:
        """The price of a model at a time: of the exact name, else of the longest name that the model begins with.

        A name whose prices all begin later is as if it were not there. Of one name, the newest price that has begun.
        """
        for rate in self._rates_of(model):
            if rate.valid_from_ms <= at_ms:
                return rate.price
        return None

    def cost(
        self,
        model: str,
        at_ms: int,
        input_tokens: int | None,
        output_tokens: int | None,
        cached_input_tokens: int | None,
        reasoning_tokens: int | None,
    ) -> Priced | None:
        """What a call costs; counts are 0 or more, None where the sender gave none.

        None when no count was given, when the model has no price, or when tokens were used of a kind without one: a
        cost that is not known is never 0, nor a part of it.

        Cached tokens count in `input_tokens`, reasoning tokens in `output_tokens`. Where a sender says that there are
        more of them, or gives them alone, they are all charged, at their own price, and nothing else of the input or
        output is.
        """
        if input_tokens is None and output_tokens is None and cached_input_tokens is None and reasoning_tokens is None:
            return None
        rates = self._rates.get(model)
        if rates is None:
            rates = self._rates_of(model)
        for rate in rates:
            if rate[0] <= at_ms:
                break
        else:
            return None
        _, of_input, of_output, of_cached, of_reasoning, text, _ = rate
        cached, reasoning = cached_input_tokens or 0, reasoning_tokens or 0
        fresh, spoken = (input_tokens or 0) - cached, (output_tokens or 0) - reasoning
        total = 0
        if fresh > 0:
            if of_input is None:
                return None
            total = fresh * of_input
        if spoken > 0:
            if of_output is None:
                return None
            total += spoken * of_output
        if cached:
            if of_cached is None:
                return None
            total += cached * of_cached
        if reasoning:
            if of_reasoning is None:
                return None
            total += reasoning * of_reasoning
        if not text:
            return None
        whole, rest = divmod(total, _FINER)
        if rest > _HALF or (rest == _HALF and whole & 1):
            whole += 1
        return Priced(whole, text)

    def _rates_of(self, model: str) -> tuple[_Rate, ...]:
        """In the order in which they are looked at: the longest name first, of one name the newest first."""
        rates = self._rates.get(model)
        if rates is None:
            found: list[_Rate] = []
            for length in self._lengths:
                if length <= len(model) and (prices := self._by_name.get(model[:length])):
                    found += map(_rate, reversed(prices.values()))
            if len(self._rates) >= _REMEMBERED:
                self._rates.clear()
            rates = self._rates[model] = tuple(found)
        return rates


def shown_time(ms: int) -> str:
    """As `2026-01-31T12:00:00Z`, with milliseconds where there are any."""
    return iso_milliseconds(ms) if ms % 1000 else iso_seconds(ms)


def _rate(price: Price) -> _Rate:
    cached = price.input if price.cached_input is None else price.cached_input
    reasoning = price.output if price.reasoning is None else price.reasoning
    return _Rate(
        price.valid_from_ms,
        _whole(price.input),
        _whole(price.output),
        _whole(cached),
        _whole(reasoning),
        json.dumps(price.document(), ensure_ascii=False, separators=(",", ":")) if price.amounts() else "",
        price,
    )


def _whole(amount: Decimal | None) -> int | None:
    """1 USD for 1,000,000 tokens is 1e-6 USD for one, which is 1e12 times 1e-18."""
    return None if amount is None else int(amount.scaleb(DECIMALS))
