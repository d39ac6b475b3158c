"""Points of edwards25519 that a careless reader takes: facts of the curve, as data."""

from typing import Final

LOW_ORDER: Final = (
    "0100000000000000000000000000000000000000000000000000000000000000",  # order 1
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # 2
    "0000000000000000000000000000000000000000000000000000000000000000",  # 4
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",  # 8
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
)
"""The eight points whose multiple by 8 is the identity."""

NOT_CANONICAL: Final = (
    "0100000000000000000000000000000000000000000000000000000000000080",  # x = 0 with a sign
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # y = p
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # y = p + 1
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    *(
        f"{low:02x}" + "ff" * 30 + high for low in range(0xEF, 0x100) for high in ("7f", "ff")
    ),  # to 2**255 - 1
)
"""Encodings that RFC 8032 section 5.1.3 refuses: y not below p, or minus zero."""

NOT_ON_THE_CURVE: Final = tuple(f"{y:02x}" + "00" * 31 for y in (2, 7, 8, 11, 12, 13))
