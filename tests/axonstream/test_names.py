"""What a name may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.names import MAX_NAME_BYTES, NameFault, name_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", NameFault.EMPTY),
        ("\x00", NameFault.NUL),
        ("a" * MAX_NAME_BYTES, None),
        ("a" * (MAX_NAME_BYTES + 1), NameFault.LONG),
        ("\U0001f600" * 64, None),
        ("\U0001f600" * 64 + "a", NameFault.LONG),
        ("\ud83d" * 85, None),
        ("\ud83d" * 86, NameFault.LONG),
    ],
)
def test_a_name_is_1_to_256_bytes_without_nul(text: str, fault: NameFault | None) -> None:
    assert name_fault(text) is fault


@given(st.text(st.characters(codec=None) | st.just("\x00"), max_size=300))
def test_a_text_is_a_name_by_its_bytes_alone(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    assert (name_fault(text) is None) == (0 < size <= MAX_NAME_BYTES and "\x00" not in text)
