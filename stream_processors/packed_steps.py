"""A trace's steps between its events, packed: what a state holds of them. A trace without steps takes no bytes.

book = head, then whatever of totals, root and slowest there is; attempts, marks; what is known of the run;
       open steps, early ends
text = its length in 2 bytes, then UTF-8; several texts are joined by NUL, and trailing empty ones left out
"""

from __future__ import annotations

from struct import Struct, pack, unpack_from

from axonstream.steps import TEXTS, UNKNOWN, Root, Slowest, Status, Step, StepBook, Usage

_HEAD = Struct(">BHHHBBBBH")  # flags; open, early, attempts; closed, their spans, LLM parents, known; bytes of models
_TOTALS = Struct(">IIIII4QQQ")  # counts of calls, tokens, cost in two halves
_TOTALS_EXACT, _HAS_TOTALS, _HAS_ROOT, _HAS_SLOWEST = 1, 2, 4, 8
_ROOT = Struct(">QqBBBqH")  # offset, start, kind, has a parent, status, end, bytes of the name
_SLOWEST = Struct(">QQBH")  # duration, offset, kind, bytes of name and agent
_KNOWN = Struct(">BBQH")  # place in TEXTS, has a parent, time, bytes
_STEP = Struct(">QQqQqBBBHH")  # offset, arrival, start, id of the start, parent; kind, flags, depth, attempt, bytes
_END = Struct(">qQ")
_USAGE = Struct(">4qqQ")  # tokens, cost in two halves; -1 where nobody said
_SAID, _ABANDONED, _WRAPS, _ENDED, _FAILED, _USED = 3, 4, 8, 16, 32, 64
_FIRST_TEXTS = 4  # name, agent, span, parent's span; then TEXTS, the error's type and message, the price
_STEP_TEXTS = _FIRST_TEXTS + len(TEXTS) + 3
_BETWEEN = "\x00\x00"  # models and providers: none of them is empty
_HALF = 1 << 64
NO_STEPS = b""


def pack_book(book: StepBook) -> bytes:
    """All of `book`; `unpack_book` makes an equal one."""
    totals = (
        book.llm_calls,
        book.calls_with_tokens,
        book.priced_calls,
        book.unpriced_calls,
        book.tool_errors,
        *book.tokens,
        *divmod(book.cost, _HALF),
    )
    flags = _TOTALS_EXACT if book.exact else 0
    parts: list[bytes] = []
    if any(totals):
        flags |= _HAS_TOTALS
        parts.append(_TOTALS.pack(*totals))
    if (root := book.root) is not None:
        flags |= _HAS_ROOT
        name = root.name.encode()
        parts += [
            _ROOT.pack(root.offset, root.started_at, root.kind, root.has_parent, root.status, root.ended_at, len(name)),
            name,
        ]
    if (slowest := book.slowest) is not None:
        flags |= _HAS_SLOWEST
        names = f"{slowest.name}\x00{slowest.agent_id}".encode()
        parts += [_SLOWEST.pack(slowest.duration_ms, slowest.offset, slowest.kind, len(names)), names]
    if book.attempts:
        count = len(book.attempts)
        parts.append(pack(f">{count}I{count}H", *book.attempts, *book.attempts.values()))
    if book.closed or book.llm_parents:
        marks = (*book.closed, *book.closed_spans, *book.llm_parents)
        parts.append(pack(f">{len(marks)}I", *marks))
    models = b""
    if book.models or book.providers:
        models = ("\x00".join(book.models) + _BETWEEN + "\x00".join(book.providers)).encode()
        parts.append(models)
    for at, (has_parent, time, text) in book.known.items():
        encoded = text.encode()
        parts += [_KNOWN.pack(at, has_parent, time, len(encoded)), encoded]
    for step in (*book.open, *book.early):
        if not step.packed:
            step.packed = b"".join(_step_parts(step))
        parts.append(step.packed)
    if not parts and book.exact:
        return NO_STEPS
    head = _HEAD.pack(
        flags,
        len(book.open),
        len(book.early),
        len(book.attempts),
        len(book.closed),
        len(book.closed_spans),
        len(book.llm_parents),
        len(book.known),
        len(models),
    )
    return b"".join((head, *parts))


def unpack_book(packed: bytes) -> StepBook:
    """The book that was packed."""
    book = StepBook()
    if not packed:
        return book
    flags, opened, early, attempts, closed, closed_spans, llm_parents, known, models = _HEAD.unpack_from(packed)
    book.exact = flags & _TOTALS_EXACT != 0
    at = _HEAD.size
    if flags & _HAS_TOTALS:
        (
            book.llm_calls,
            book.calls_with_tokens,
            book.priced_calls,
            book.unpriced_calls,
            book.tool_errors,
            *book.tokens,
            high,
            low,
        ) = _TOTALS.unpack_from(packed, at)
        book.cost = high * _HALF + low
        at += _TOTALS.size
    if flags & _HAS_ROOT:
        offset, started_at, kind, has_parent, status, ended_at, size = _ROOT.unpack_from(packed, at)
        at += _ROOT.size
        book.root = Root(
            offset, started_at, kind, bool(has_parent), packed[at : at + size].decode(), Status(status), ended_at
        )
        at += size
    if flags & _HAS_SLOWEST:
        duration, offset, kind, size = _SLOWEST.unpack_from(packed, at)
        at += _SLOWEST.size
        name, _, agent_id = packed[at : at + size].decode().partition("\x00")
        book.slowest = Slowest(duration, offset, kind, name, agent_id)
        at += size
    if attempts:
        numbers = unpack_from(f">{attempts}I{attempts}H", packed, at)
        book.attempts = dict(zip(numbers[:attempts], numbers[attempts:], strict=True))
        at += 6 * attempts
    if closed or llm_parents:
        marks = unpack_from(f">{closed + closed_spans + llm_parents}I", packed, at)
        at += 4 * len(marks)
        book.closed, book.llm_parents = list(marks[:closed]), list(marks[closed + closed_spans :])
        book.closed_spans = list(marks[closed : closed + closed_spans])
    if models:
        of_models, _, of_providers = packed[at : at + models].decode().partition(_BETWEEN)
        book.models = of_models.split("\x00") if of_models else []
        book.providers = of_providers.split("\x00") if of_providers else []
        at += models
    for _ in range(known):
        place, has_parent, time, size = _KNOWN.unpack_from(packed, at)
        at += _KNOWN.size
        book.known[place] = (bool(has_parent), time, packed[at : at + size].decode())
        at += size
    for steps, count in ((book.open, opened), (book.early, early)):
        for _ in range(count):
            step, at = _step_at(packed, at)
            steps.append(step)
    return book


def _step_parts(step: Step) -> list[bytes]:
    flags = step.said | step.abandoned * _ABANDONED | step.wraps * _WRAPS
    parts = [b"", b""]
    if step.has_ended:
        flags |= _ENDED
        parts.append(_END.pack(step.ended_at, step.end_event_id))
    if step.error_at >= 0:
        flags |= _FAILED
        parts.append(_END.pack(step.error_at, step.error_event_id))
    price = ""
    if (usage := step.usage) is not None:
        flags |= _USED
        price = usage.price
        numbers = [usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.reasoning_tokens]
        cost = (UNKNOWN, 0) if usage.cost is None else divmod(usage.cost, _HALF)
        parts.append(_USAGE.pack(*(UNKNOWN if number is None else number for number in numbers), *cost))
    texts = (
        f"{step.name}\x00{step.agent_id}\x00{step.span_id}\x00{step.parent_span_id}\x00"
        + "\x00".join(step.texts)
        + f"\x00{step.error_type}\x00{step.error_message}\x00{price}"
    )
    parts[1] = texts.rstrip("\x00").encode()
    parts[0] = _STEP.pack(
        step.offset,
        step.arrived_at,
        step.started_at,
        step.start_event_id,
        step.parent,
        step.kind,
        flags,
        step.depth,
        step.attempt,
        len(parts[1]),
    )
    return parts


def _step_at(packed: bytes, at: int) -> tuple[Step, int]:
    """The step that begins there, and where what follows it begins."""
    offset, arrived_at, started_at, start_id, parent, kind, flags, depth, attempt, size = _STEP.unpack_from(packed, at)
    at += _STEP.size
    texts = packed[at : at + size].decode().split("\x00")
    texts += [""] * (_STEP_TEXTS - len(texts))
    at += size
    name, agent_id, span_id, parent_span_id = texts[:_FIRST_TEXTS]
    step = Step(
        offset,
        kind,
        name,
        agent_id,
        span_id,
        parent_span_id,
        arrived_at,
        started_at,
        start_event_id=start_id,
        said=flags & _SAID,
        abandoned=flags & _ABANDONED != 0,
        wraps=flags & _WRAPS != 0,
        depth=depth,
        parent=parent,
        attempt=attempt,
        texts=tuple(texts[_FIRST_TEXTS : _FIRST_TEXTS + len(TEXTS)]),
    )
    if flags & _ENDED:
        step.ended_at, step.end_event_id = _END.unpack_from(packed, at)
        at += _END.size
    step.error_type, step.error_message, price = texts[-3:]
    if flags & _FAILED:
        step.error_at, step.error_event_id = _END.unpack_from(packed, at)
        at += _END.size
    if flags & _USED:
        *numbers, high, low = _USAGE.unpack_from(packed, at)
        at += _USAGE.size
        tokens_in, tokens_out, cached, reasoning = (None if number < 0 else number for number in numbers)
        cost = None if high < 0 else high * _HALF + low
        step.usage = Usage(tokens_in, tokens_out, cached, reasoning, cost, price)
    return step, at
