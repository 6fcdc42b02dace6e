"""Files of prices: what they may be, and what is said of one that is wrong."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from axonstream.cli.price_file import PriceFileError, read_prices
from axonstream.contract.prices import Price, PriceList
from kit.rooms import ROOT

AT = 1_767_225_600_000
GOOD = '{"model": "m", "validFrom": "2026-01-01T00:00:00Z", "usdPerMillionTokens": {"input": 2.5}}'
CSV = "model,validFrom,input,output,cachedInput,reasoning\n"


def read(tmp_path: Path, text: str, name: str = "prices.json") -> list[Price]:
    file = tmp_path / name
    file.write_text(text)
    return read_prices(file)


def test_the_example_is_a_file_of_prices_that_says_that_it_is_not_current() -> None:
    file = ROOT / "examples" / "prices.example.json"
    listed = PriceList(read_prices(file))
    assert "Nobody claims that they are current" in json.loads(file.read_text())["notice"]
    found = listed.find("gpt-4o-mini-2024", AT)
    assert found is not None
    assert found.model == "gpt-4o-mini"
    assert [one.input for one in listed if one.model == "gpt-4o"] == [4, 3]


def test_numbers_and_strings_are_exact_decimals(tmp_path: Path) -> None:
    amounts = '{"input": 0.1, "output": "0.000000000001", "cachedInput": null, "reasoning": 1e-1}'
    text = f'[{{"model": "m", "validFrom": "2026-01-01", "usdPerMillionTokens": {amounts}}}]'
    tenth = Decimal("0.1")
    assert read(tmp_path, text) == [Price("m", AT, tenth, Decimal("1e-12"), reasoning=tenth)]


def test_what_is_listed_can_be_imported(tmp_path: Path) -> None:
    wanted = [Price("a/é", AT + 1, Decimal("2.50"), Decimal(3), Decimal(0), Decimal("1E+2")), Price("b", 0)]
    assert read(tmp_path, json.dumps([one.document() for one in wanted])) == wanted
    assert read(tmp_path, json.dumps({"notice": "n", "prices": [one.document() for one in wanted]})) == wanted


def test_a_csv_file_may_leave_columns_out_and_have_them_in_any_order(tmp_path: Path) -> None:
    text = '\ufeffoutput, model,validFrom\r\n10,"a,b",2026-01-01T01:00:00+01:00\r\n\r\n,c,2026-01-01\r\n'
    assert read(tmp_path, text, "p.CSV") == [Price("a,b", AT, output=Decimal(10)), Price("c", AT)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is not JSON"),
        ("{", "the file is not JSON"),
        ("[" * 100_000, "the file is not JSON"),
        ("7", "must be a JSON list of prices"),
        ("{}", 'or an object with such a list as "prices"'),
        ('{"price": []}', "may have the members notice and prices, not 'price'"),
        ("[7]", "price 1: a price must be an object with model, validFrom, usdPerMillionTokens"),
        ("[{}]", "price 1: usdPerMillionTokens must be an object with input, output, cachedInput, reasoning"),
        (f"[{GOOD.replace('input', 'inputs')}]", "price 1 (m): usdPerMillionTokens may have the members input"),
        (f"[{GOOD.replace('validFrom', 'from')}]", "price 1 (m): a price may have the members model, validFrom"),
        (f"[{GOOD.replace('2.5', '-2.5')}]", "price 1 (m): input must be US dollars as a decimal from 0 to 1,000,000"),
        (f"[{GOOD.replace('2.5', '1e-13')}]", "with at most 12 digits after the point"),
        (f"[{GOOD.replace('2.5', 'true')}]", "price 1 (m): input must be US dollars"),
        (f"[{GOOD.replace('2.5', 'NaN')}]", "NaN is not a number of JSON"),
        (f"[{GOOD.replace('2.5', chr(34) + 'NaN' + chr(34))}]", "input must be US dollars"),
        (f"[{GOOD.replace('2.5', chr(34) + '$2.5' + chr(34))}]", "input must be US dollars"),
        (f"[{GOOD.replace('2.5', '2.5, ' + chr(34) + 'input' + chr(34) + ': 3')}]", "a member is there twice: 'input'"),
        (f"[{GOOD.replace('2026-01-01T00:00:00Z', 'soon')}]", "price 1 (m): validFrom must be a time"),
        (f"[{GOOD.replace('2026-01-01T00:00:00Z', '1969-01-01')}]", "validFrom must be from 1970 to 2199"),
        (f"[{GOOD.replace(chr(34) + 'm' + chr(34), '5')}]", "price 1: model must be the name of a model"),
        (f"[{GOOD.replace(chr(34) + 'm' + chr(34), chr(34) * 2)}]", "model must be 1 to 256 bytes"),
        (f"[{GOOD},{GOOD}]", "price 2 (m): it has the model and the time of price 1 (m)"),
    ],
)
def test_a_wrong_json_file_is_refused_with_the_place_and_what_to_change(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PriceFileError) as refused:
        read(tmp_path, text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1 must name the columns model, validFrom"),
        ("model,input\n", "line 1 must name the columns validFrom"),
        ("model,validFrom,cached\n", "line 1 may name the columns model, validFrom, input"),
        ("model,model,validFrom\n", "line 1 names a column twice"),
        (CSV + "m,2026-01-01,1\n", "line 2 has 3 cells, and line 1 names 6 columns"),
        (CSV + "m,2026-01-01,1,2,,\n,2026-01-01,1,2,,\n", "line 3 (): model must be 1 to 256 bytes"),
        (CSV + "m,2026-01-01,x,2,,\n", "line 2 (m): input must be US dollars"),
        (CSV + 'm,2026-01-01,"1,2,,\n', "is not CSV"),
    ],
)
def test_a_wrong_csv_file_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PriceFileError) as refused:
        read(tmp_path, text, "prices.csv")
    assert said in str(refused.value)


def test_every_fault_is_named_up_to_twenty(tmp_path: Path) -> None:
    with pytest.raises(PriceFileError) as refused:
        read(tmp_path, CSV + "m,soon,,,,\n" * 25, "prices.csv")
    lines = str(refused.value).splitlines()
    assert (len(lines), lines[0][:11], lines[-1]) == (21, "line 2 (m):", "and 5 more")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_bytes(b"\xff\xfe[")
    with pytest.raises(PriceFileError, match="not text in UTF-8"):
        read_prices(tmp_path / "p.json")
