"""PKCS#7 padding of 1 to 32 bytes, beyond the block size where a sender wants it."""

from __future__ import annotations


def pad(plain: bytes, block: int) -> bytes:
    """Fill up to a multiple of `block` with bytes that say how many there are."""
    count = block - len(plain) % block
    return plain + bytes([count]) * count


def unpad(padded: bytes, block: int) -> bytes | None:
    """Take the padding off; None when it is not one."""
    count = padded[-1] if padded else 0
    if not 1 <= count <= min(block, len(padded)) or padded[-count:] != bytes([count]) * count:
        return None
    return padded[:-count]
