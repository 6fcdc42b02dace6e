"""S18: no webhook endpoint has a literal private address as its receiver, however it is written."""

from __future__ import annotations

import asyncio
import socket
import unicodedata
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from axonstream.gateway.control.api_keys import make_key
from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.control.shown_url import shown_url
from axonstream.gateway.managing.webhook_urls import host_of, why_not_public
from kit.audit_entries import an_entry
from kit.offline_gateway import SERVER_SECRET, OfflineGateway

SOFT_HYPHEN = "lo\u00adcalhost".encode("punycode").decode()
# Of the report, of the metadata services of clouds, and of https://url.spec.whatwg.org/#concept-ipv4-parser
REFUSED = [
    "http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:18523/?query=SELECT+1", "http://[::1]/",
    "http://localhost/", "http://LOCALHOST:8080/", "http://a.localhost/", "http://0x7f.1/", "http://10.0.0.1:22/",
    "http://%31%32%37.0.0.1/", "http://evil.com#@127.0.0.1/", "http://2130706433/", "http://0177.0.0.1/",
    "http://127.1/", "http://0/", "http://0.0.0.0/", "http://0x/", "http://1.2.3.0x/", "http://127.0.0.1./",
    "http://localhost./", "http://a.com./", "http://a@127.0.0.1/", "http://a:b@c.com/", "http://a.com?@127.0.0.1/",
    "http://a.com\\@127.0.0.1/", "http://a.com/\\x", "http:\\\\127.0.0.1/", "http://127.0.0.1\t/", "http://a.c\nom/",
    "http:///127.0.0.1/", "http:/127.0.0.1/", "http:127.0.0.1", " http://127.0.0.1/", "http://", "http:///x", "http://:80/",
    "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:8.8.8.8]/",
    "http://[64:ff9b::7f00:1]/", "http://[64:ff9b:1::7f00:1]/", "http://[2002:7f00:1::]/", "http://[2001:0:1::1]/",
    "http://[fd00:ec2::254]/", "http://[fc00::1]/", "http://[ff02::1]/", "http://[::]/", "http://[::127.0.0.1]/",
    "http://[2600::5efe:7f00:1]/", "http://[2001:db8::1]/", "http://[v1.a]/", "http://[]/", "http://[::1/",
    "http://192.168.1.1/", "http://172.16.0.1/", "http://100.100.100.200/", "http://168.63.129.16/",
    "http://192.0.0.192/", "http://224.0.0.1/", "http://255.255.255.255/", "http://198.18.0.1/", "http://240.0.0.1/",
    "http://256.1.1.1/", "http://1.2.3.4.5/", "http://1.2.3/", "http://08.8.8.8/", "http://8.8.8.8.in.0x7f/",
    "http://printer.local/", "http://metadata.google.internal/", "http://kafka:9092/", "http://a.home.arpa/",
    "http://router.lan/", "http://x.test/", "http://１２７.0.0.1/", "http://ⓛocalhost/", "http://a.com:0/",
    "http://a.com:65536/", "http://a.com:22/", "http://a.com:/", "http://a.com:080/", "http://a.com:+80/",
    "http://a..com/", "http://.a.com/", "http://-a.com/", "http://a-.com/", "http://xn--localhost-.com/",
    "http://xn--a.com/", f"http://xn--{'１２７'.encode('punycode').decode()}.com/",
    f"http://xn--{SOFT_HYPHEN}.com/",
    "http://" + "a" * 64 + ".com/", "http://" + "a." * 127 + "com/", "https://a.com/x#y",
    "ftp://a.com/", "http://a,b.com/", "http://a b.com/", "http://a.com/é",
]  # fmt: skip
TAKEN = [
    "https://example.com/hook?a=1", "HTTPS://a.b", "http://a.b:8080", "https://hooks.a-b.example.com/T0/B0/x@y?z=http://x/",
    "http://8.8.8.8/", "https://1.1.1.1:443/x", "http://[2606:4700::1111]:8443/", "http://my_bucket.s3.amazonaws.com/",
    "https://xn--mnchen-3ya.de/", "https://XN--MNCHEN-3YA.de/", "https://xn--strae-oqa.de/",
    "https://127.0.0.1.nip.io/", "https://123.example.com/", "https://mail.example.com/",
    "https://examplelocalhost.com/",
]  # fmt: skip


def answered(offline: OfflineGateway, url: str) -> tuple[int, str]:
    answer = offline.send("POST", "/webhooks/endpoints", json={"url": url, "channelId": 1})
    return answer.status_code, answer.text if answer.status_code == 201 else answer.json()["message"][0]


@pytest.mark.parametrize("url", REFUSED)
def test_a_url_of_a_receiver_inside_or_that_two_parsers_may_read_differently_is_400(
    offline: OfflineGateway, url: str
) -> None:
    """S18: of these, 73 were answered 201, all of the report's among them."""
    status, message = answered(offline, url)
    assert (status, message.startswith("url must be")) == (400, True), message


@pytest.mark.parametrize("url", TAKEN)
def test_a_url_whose_host_could_be_public_is_taken_as_it_is_written(offline: OfflineGateway, url: str) -> None:
    answer = offline.send("POST", "/webhooks/endpoints", json={"url": url, "channelId": 1})
    assert (answer.status_code, answer.json().get("url")) == (201, url)


def test_the_message_says_what_is_wrong_and_the_hint_how_the_operator_may_allow_it(offline: OfflineGateway) -> None:
    answer = offline.send("POST", "/webhooks/endpoints", json={"url": "http://10.0.0.1/", "channelId": 1}).json()
    assert answer["message"] == ["url must be one of a receiver on the internet: 10.0.0.1 is private"]
    assert "AXONSTREAM_WEBHOOK_PRIVATE_ADDRESSES=true" in answer["hint"]


def test_an_operator_may_allow_receivers_inside_the_network_and_still_no_odd_spelling() -> None:
    inside = OfflineGateway(webhook_private_addresses=True)
    for url in ("http://127.0.0.1:9000/x", "https://[::1]:8443/", "http://receiver", "http://a.local/"):
        assert answered(inside, url)[0] == 201
    for url in ("http://0x7f.1/", "http://2130706433/", "http://a@127.0.0.1/", "http://127.0.0.1:22/"):
        assert answered(inside, url)[0] == 400


def test_a_key_that_may_only_read_does_not_see_what_of_a_url_may_be_a_secret(offline: OfflineGateway) -> None:
    """S18: scope read saw whole URLs."""
    url = "https://hooks.example.com:8443/services/T0/B0/secret-of-the-url?token=secret-too"
    assert offline.send("POST", "/webhooks/endpoints", json={"url": url, "channelId": 1}).json()["url"] == url
    path = "/webhooks/endpoints/channel/1"
    assert offline.send("GET", path).json()[0]["url"] == url
    for scopes, shown in (
        ([KeyScope.READ], "https://hooks.example.com:8443/..."),
        ([KeyScope.READ, KeyScope.ADMIN], url),
    ):
        key = make_key(
            offline.control.data, SERVER_SECRET.encode(), tenant_id="1", name="n", creator="c", scopes=scopes,
            public=False, now_ms=1, expires_at=None,
        )  # fmt: skip
        asyncio.run(offline.control.write([key.record], an_entry()))
        [endpoint] = offline.send("GET", path, headers={"x-axonpush-api-key": key.key}).json()["data"]
        assert endpoint["url"] == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.com", "https://a.com"), ("https://a.com/", "https://a.com/"), ("https://a.com/x", "https://a.com/..."),
        ("http://a.com:8080?x", "http://a.com:8080/..."), ("https://u:p@a.com/", "..."), ("", "..."),
    ],
)  # fmt: skip
def test_a_shown_url_ends_with_the_port_also_for_what_an_older_version_took(url: str, shown: str) -> None:
    assert shown_url(url) == shown


# What IANA calls globally reachable and no receiver is at: anycast of other services, and a cloud's metadata service.
STRICTER = [
    IPv4Network("168.63.129.16/32"), IPv4Network("192.0.0.0/24"), IPv4Network("192.31.196.0/24"),
    IPv4Network("192.52.193.0/24"), IPv4Network("192.88.99.0/24"), IPv4Network("192.175.48.0/24"),
]  # fmt: skip
PUBLIC_V4 = st.ip_addresses(v=4).filter(lambda address: address.is_global and not address.is_multicast)
INSIDE_V4 = st.one_of(
    st.sampled_from(["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "0.0.0.0/8"])
    .flatmap(lambda network: st.ip_addresses(v=4, network=network)),
    st.ip_addresses(v=4).filter(lambda address: not address.is_global or address.is_multicast),
)  # fmt: skip


@st.composite
def spelled_v4(draw: st.DrawFn) -> str:
    """An address inside as some resolver takes it: with inet_aton's parts and bases, or what Unicode maps to them."""
    address = draw(INSIDE_V4)
    number, parts = int(address), draw(st.integers(1, 4))
    values = [number >> 24 - 8 * at & 0xFF for at in range(parts - 1)] + [number & (1 << 8 * (5 - parts)) - 1]
    forms = draw(
        st.lists(st.sampled_from(["{}", "0{:o}", "000{:o}", "0x{:x}", "0X{:X}"]), min_size=parts, max_size=parts)
    )
    text = ".".join(form.format(value) for form, value in zip(forms, values, strict=True))
    assert socket.inet_aton(text) == address.packed  # the oracle: the platform reads it as this address
    change = draw(st.sampled_from(["", "wide", "escaped", "dot", "ideographic", "case"]))
    if change == "wide":
        text = "".join(chr(ord(char) + 0xFEE0) if char.isdigit() else char for char in text)
        assert unicodedata.normalize("NFKC", text).isascii()
    elif change == "escaped":
        text = "".join(f"%{ord(char):02x}" for char in text)
    elif change == "ideographic":
        text = text.replace(".", "。")
    return text + ("." if change == "dot" else "")


def refuses(url: str) -> bool:
    try:
        return why_not_public(host_of(url)) is not None
    except ValueError:
        return True


@given(
    spelled_v4(), st.sampled_from(["http://{}", "https://{}/x", "http://{}:8080/", "http://a.com@{}/", "http://{}?x"])
)
def test_no_spelling_of_an_ipv4_address_inside_is_taken(spelled: str, form: str) -> None:
    """S18."""
    assert refuses(form.format(spelled))


@given(st.one_of(INSIDE_V4, PUBLIC_V4))
def test_an_ipv4_address_in_its_own_spelling_is_taken_where_the_library_calls_it_global(address: IPv4Address) -> None:
    reserved = any(address in network for network in STRICTER)
    assert refuses(f"http://{address}/") == (not address.is_global or address.is_multicast or reserved)


@given(INSIDE_V4, st.data())
def test_no_ipv6_address_that_holds_an_ipv4_address_inside_is_taken(inside: IPv4Address, data: st.DataObject) -> None:
    """S18: mapped, compatible, NAT64, 6to4, Teredo (the client's, inverted), ISATAP."""
    v4, low = int(inside), data.draw(st.integers(0, (1 << 64) - 1))
    holding = data.draw(
        st.sampled_from([
            0xFFFF << 32 | v4,
            v4,
            0xFFFF << 48 | v4,
            0x64FF9B << 96 | v4,
            0x64FF9B0001 << 80 | v4,
            0x2002 << 112 | v4 << 80 | low,
            0x20010000 << 96 | low >> 32 << 32 | v4 ^ 0xFFFFFFFF,
            0x2600 << 112 | 0x5EFE << 32 | v4,
        ])
    )  # fmt: skip
    address = IPv6Address(holding)
    for text in (str(address), address.exploded, str(address).upper()):
        assert refuses(f"http://[{text}]/")


@given(st.ip_addresses(v=6))
@example(IPv6Address("2606:4700::1"))
def test_an_ipv6_address_is_taken_only_where_the_library_calls_it_global(address: IPv6Address) -> None:
    if not refuses(f"http://[{address}]/"):
        assert address.is_global
        assert not any((address.is_multicast, address.is_reserved, address.sixtofour, address.teredo))


@given(st.text(st.sampled_from("htps:/\\@#?.%[]0127xFlocaé１。\t\n -_~"), max_size=30))
def test_what_is_taken_is_read_alike_by_another_parser(tail: str) -> None:
    """The oracle is urllib's parser, and the platform's reading of a number as an address."""
    for url in (tail, f"http://{tail}", f"http://a.com{tail}", f"https://{tail}@a.com/"):
        if refuses(url):
            continue
        host = host_of(url)
        assert urlsplit(url).hostname == host.strip("[]").lower()
        assert urlsplit(url).username is None
        try:
            address = ip_address(socket.inet_aton(host))
        except OSError:
            continue
        assert address.is_global
        assert str(address) == host
