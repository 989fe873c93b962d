"""The still picture of an animated PNG, for readers who want nothing to move, and for paper.

What moves stands in chunks of its own: acTL, fcTL and fdAT (PNG, third edition, W3C 2025, section 11.3.6). A PNG
without them is the still one.
"""

from __future__ import annotations

import struct

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOVING = (b"acTL", b"fcTL", b"fdAT")
AROUND = 12  # bytes of a chunk beside its data: length, type, checksum


def still(content: bytes) -> bytes:
    """A PNG without what moves; what is no PNG stays as it is.

    >>> still(b"GIF89a")
    b'GIF89a'
    """
    if not content.startswith(SIGNATURE):
        return content
    kept, place = [SIGNATURE], len(SIGNATURE)
    while place + AROUND <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        end = place + AROUND + length
        if content[place + 4 : place + 8] not in MOVING:
            kept.append(content[place:end])
        place = end
    return b"".join(kept)
