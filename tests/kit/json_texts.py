"""JSON texts as any encoder may spell them, drawn by Hypothesis. No key is repeated."""

from __future__ import annotations

import json

from hypothesis import strategies as st

_NUMBERS = st.one_of(
    st.integers(min_value=-(2**70), max_value=2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["1.0", "1.00", "-0", "-0.0", "1e5", "1E+05", "0.10", "18446744073709551616", "1e-400"]),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_STRINGS = st.one_of(
    TEXT.map(json.dumps),
    TEXT.map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(['"\\ud83d\\ude00"', '"\\/"', '"\\u0000"', '"}"', '"\\""', '"\\\\"', '",\\"payload\\":{}"']),
)
SPACE = st.sampled_from(["", "", " ", "\n", "\t", "\r\n  "])


@st.composite
def _objects(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    names = draw(st.lists(TEXT, max_size=4, unique=True))
    space = draw(SPACE)
    members = [f"{space}{json.dumps(name)}{space}:{space}{draw(values)}{space}" for name in names]
    return "{" + ",".join(members) + (space if not members else "") + "}"


@st.composite
def _arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    space = draw(SPACE)
    return "[" + ",".join(f"{space}{item}{space}" for item in draw(st.lists(values, max_size=4))) + "]"


_LITERALS = st.sampled_from(["null", "true", "false"])
VALUES = st.recursive(
    st.one_of(_NUMBERS, _STRINGS, _LITERALS), lambda inner: st.one_of(_objects(inner), _arrays(inner)), max_leaves=8
)
OBJECTS = _objects(VALUES)
