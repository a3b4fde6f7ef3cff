"""Files that went wrong: a valid one, changed in the ways in which files of strangers are."""

import copy
import json
import random
from typing import Any

EXTREMES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, -(10**400), 0.5, -0.0, 1e-320, 1e308, float("nan"), -1e308),
    *("", "0", "../../x", "/etc", "\x00", "é" * 200, "a" * 10_000, "1" * 5_000, [], [[]], {}, [None], float("inf")),
)


def mutate_bytes(data: bytes, draw: random.Random) -> bytes:
    """Some bytes flipped, cut out, doubled, moved, or the end cut off."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        if not changed:
            break
        start = draw.randrange(len(changed))
        length = min(len(changed) - start, draw.choice((1, 4, 16, 256, 4096)))
        kind = draw.randrange(6)
        if kind == 0:
            changed[start] ^= 1 << draw.randrange(8)
        elif kind == 1:
            changed[start : start + length] = draw.randbytes(length)
        elif kind == 2:
            del changed[start : start + length]
        elif kind == 3:
            changed[start:start] = changed[start : start + length]
        elif kind == 4:
            changed[start : start + length] = bytes([draw.choice((0, 0xFF, 0x7F, 0x80))]) * length
        else:
            del changed[start:]
    return bytes(changed)


def mutate_value(value: Any, draw: random.Random) -> Any:
    """A copy of a JSON value with some places replaced, removed, doubled, nested or swapped."""
    value = json.loads(json.dumps(value))
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        places = list(_places(value))
        if not places:
            return draw.choice(EXTREMES)
        holder, key = draw.choice(places)
        kind = draw.randrange(6)
        if kind <= 2:
            holder[key] = draw.choice(EXTREMES)
        elif kind == 3:
            del holder[key]
        elif kind == 4:
            other, at = draw.choice(places)
            moved = other.get(at) if isinstance(other, dict) else other[at] if at < len(other) else None
            holder[key] = copy.deepcopy(moved)  # else it might come to hold itself
        else:
            for _ in range(draw.choice((1, 3, 50))):
                holder[key] = [holder[key]] if draw.random() < 0.5 else {"bbox": holder[key]}
    return value


def mutate_json(value: Any, draw: random.Random) -> bytes:
    """A JSON file: mostly one of a changed value, sometimes one whose bytes are changed, or one nested without end."""
    kind = draw.randrange(20)
    if kind == 0:
        return b"[" * draw.choice((100, 100_000)) + b"1"
    if kind < 5:
        return mutate_bytes(json.dumps(value).encode(), draw)
    return json.dumps(mutate_value(value, draw)).encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(holder, key) of everything inside."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, (dict, list)):
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            found += [(holder, key) for key in keys]
            waiting += [holder[key] for key in keys]
    return found
