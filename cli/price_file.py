"""A file of prices: read, and checked as a whole before anything is done with it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from axonstream.contract.prices import DECIMALS, MAX_USD, Price
from axonstream.unix_ms import ms_of

KINDS = {"input": "input", "output": "output", "cachedInput": "cached_input", "reasoning": "reasoning"}
_MEMBERS = ("model", "validFrom", "usdPerMillionTokens")
_COLUMNS = ("model", "validFrom", *KINDS)
_MOST_FAULTS = 20
_MUST_BE_USD = f"must be US dollars as a decimal from 0 to {MAX_USD:,}, with at most {DECIMALS} digits after the point"


class PriceFileError(ValueError):
    """The file is not one of prices; the message names each fault and its place, on lines of their own."""


def read_prices(path: Path) -> list[Price]:
    """The prices of a CSV file (its name ends with .csv) or of a JSON file. Raises PriceFileError and OSError."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PriceFileError("the file is not text in UTF-8") from None
    documents = _csv_documents(text) if path.suffix.lower() == ".csv" else _json_documents(text)
    prices: dict[tuple[str, int], Price] = {}
    places: dict[tuple[str, int], str] = {}
    faults: list[str] = []
    for place, document in documents:
        try:
            price = price_of(document)
        except ValueError as error:
            faults.append(f"{place}: {error}")
            continue
        name = (price.model, price.valid_from_ms)
        if name in prices:
            faults.append(f"{place}: it has the model and the time of {places[name]}: leave out one of them")
        prices[name], places[name] = price, place
    if faults:
        more = [f"and {len(faults) - _MOST_FAULTS} more"] if len(faults) > _MOST_FAULTS else []
        raise PriceFileError("\n".join([*faults[:_MOST_FAULTS], *more]))
    return list(prices.values())


def price_of(document: Any) -> Price:
    """The price that a document like that of `Price.document` says. Raises ValueError, which says what to change."""
    members = _object(document, "a price", _MEMBERS)
    amounts = _object(members.get("usdPerMillionTokens"), "usdPerMillionTokens", KINDS)
    if not isinstance(members.get("model"), str):
        raise ValueError("model must be the name of a model, or its beginning")  # noqa: TRY004  it is a wrong value
    return made_price(
        members["model"], time_ms(members.get("validFrom")), {kind: usd(amounts.get(kind), kind) for kind in KINDS}
    )


def made_price(model: str, valid_from_ms: int, amounts: Mapping[str, Decimal | None]) -> Price:
    """Amounts by the names of their kinds in JSON. Raises ValueError."""
    try:
        by_kind = {KINDS[kind]: amount for kind, amount in amounts.items()}
        return Price(model=model, valid_from_ms=valid_from_ms, **by_kind)
    except ValidationError as error:
        wrong = error.errors()[0]
        field = wrong["loc"][0]
        if field == "model":
            raise ValueError("model must be 1 to 256 bytes of UTF-8 without NUL") from None
        if field == "valid_from_ms":
            raise ValueError("validFrom must be from 1970 to 2199") from None
        kind = next(kind for kind, name in KINDS.items() if name == field)
        raise ValueError(f"{kind} {_MUST_BE_USD}") from None


def usd(value: object, kind: str) -> Decimal | None:
    """An amount as it is written: 2.5, or "2.5"; None and "" are none. Raises ValueError."""
    if value is None or value == "":
        return None
    if isinstance(value, str | int | Decimal) and not isinstance(value, bool):
        try:
            return Decimal(value)
        except InvalidOperation:
            pass
    raise ValueError(f"{kind} {_MUST_BE_USD}")


def time_ms(value: object) -> int:
    """ISO 8601 as ms since 1970; UTC where no zone is given. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("validFrom must be a time, as 2026-01-31 or 2026-01-31T12:00:00Z") from None
    return ms_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _json_documents(text: str) -> Iterator[tuple[str, Any]]:
    try:
        document: Any = json.loads(
            text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_no_repetition
        )
    except (ValueError, RecursionError) as error:
        raise PriceFileError(
            f"the file is not JSON: {error}. A CSV file must have a name that ends with .csv"
        ) from None
    if isinstance(document, dict):
        found = cast("dict[str, Any]", document)
        if unknown := found.keys() - {"notice", "prices"}:
            raise PriceFileError(f"the file may have the members notice and prices, not {_named(unknown)}")
        document = found.get("prices")
    if not isinstance(document, list):
        raise PriceFileError('the file must be a JSON list of prices, or an object with such a list as "prices"')
    for number, one in enumerate(cast("list[Any]", document), 1):
        model = cast("dict[str, Any]", one).get("model") if isinstance(one, dict) else None
        yield f"price {number}" + (f" ({model})" if isinstance(model, str) else ""), one


def _csv_documents(text: str) -> Iterator[tuple[str, Any]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        if unknown := set(names) - set(_COLUMNS):
            raise PriceFileError(f"line 1 may name the columns {', '.join(_COLUMNS)}, not {_named(unknown)}")
        if missing := [name for name in _COLUMNS[:2] if name not in names]:
            raise PriceFileError(f"line 1 must name the columns {', '.join(missing)}")
        if len(set(names)) < len(names):
            raise PriceFileError("line 1 names a column twice")
        for row in rows:
            place = f"line {rows.line_num}"
            if not any(row):
                continue
            if len(row) != len(names):
                raise PriceFileError(f"{place} has {len(row)} cells, and line 1 names {len(names)} columns")
            cells = dict(zip(names, map(str.strip, row), strict=True))
            amounts = {kind: cells[kind] for kind in KINDS if kind in cells}
            one = {"model": cells["model"], "validFrom": cells["validFrom"], "usdPerMillionTokens": amounts}
            yield f"{place} ({one['model']})", one
    except csv.Error as error:
        raise PriceFileError(f"line {rows.line_num} is not CSV: {error}") from None


def _object(value: object, what: str, members: Mapping[str, Any] | tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be an object with {', '.join(members)}")  # noqa: TRY004  it is a wrong value
    found = cast("dict[str, Any]", value)
    if unknown := found.keys() - set(members):
        raise ValueError(f"{what} may have the members {', '.join(members)}, not {_named(unknown)}")
    return found


def _named(names: set[str]) -> str:
    return ", ".join(sorted(map(repr, names)))


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number of JSON")


def _no_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"a member is there twice: {_named({name for name in names if names.count(name) > 1})}")
    return found
