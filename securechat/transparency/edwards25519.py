"""The curve edwards25519: points, their encoding, sums of multiples (RFC 8032 section 5.1).

For the VRF alone; signatures come from ``cryptography``, which offers no arithmetic on points.
NOT constant time: how long a multiplication takes tells something of the scalar. What that means
stands in ``vrf.py``.

A point is (X, Y, Z, T) in extended coordinates: x = X/Z, y = Y/Z, x*y = T/Z (section 5.1.4). The formulas are
complete, so that the identity and points of low order need no cases of their own.
"""

from typing import Final

from securechat.transparency.errors import VrfRefused

Point = tuple[int, int, int, int]

P: Final = 2**255 - 19
"""The field's prime."""

ORDER: Final = 2**252 + 27742317777372353535851937790883648493
"""The prime order of the base point: q in RFC 9381, L in RFC 8032."""

COFACTOR: Final = 8
LENGTH: Final = 32
"""Bytes of an encoded point, and of an encoded scalar."""

_D: Final = -121665 * pow(121666, -1, P) % P
_TWICE_D: Final = 2 * _D % P
_ROOT_OF_MINUS_ONE: Final = pow(2, (P - 1) // 4, P)

IDENTITY: Final[Point] = (0, 1, 1, 0)

_WINDOW: Final = 4


def add(a: Point, b: Point) -> Point:
    """Return a + b (RFC 8032 section 5.1.4)."""
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    low = (y1 - x1) * (y2 - x2) % P
    high = (y1 + x1) * (y2 + x2) % P
    cross = t1 * t2 * _TWICE_D % P
    twice = 2 * z1 * z2 % P
    e, f, g, h = high - low, twice - cross, twice + cross, high + low
    return e * f % P, g * h % P, f * g % P, e * h % P


def double(a: Point) -> Point:
    """Return 2a (RFC 8032 section 5.1.4)."""
    x, y, z, _ = a
    xx, yy = x * x % P, y * y % P
    h = xx + yy
    e = h - (x + y) * (x + y)
    g = xx - yy
    f = 2 * z * z + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def sum_of_multiples(*terms: tuple[int, Point]) -> Point:
    """Return the sum of ``scalar * point`` over the terms, four bits of all scalars at a time.

    The scalars are at least 0; a point of any order is fine, so nothing is reduced by ``ORDER`` here.
    """
    tables = [(scalar, _multiples(point)) for scalar, point in terms]
    longest = max((scalar.bit_length() for scalar, _ in terms), default=0)
    total = IDENTITY
    for shift in range(-(-longest // _WINDOW) * _WINDOW - _WINDOW, -1, -_WINDOW):
        for _ in range(_WINDOW):
            total = double(total)
        for scalar, table in tables:
            digit = scalar >> shift & (1 << _WINDOW) - 1
            if digit:
                total = add(total, table[digit])
    return total


def _multiples(point: Point) -> list[Point]:
    table = [IDENTITY, point]
    while len(table) < 1 << _WINDOW:
        table.append(add(table[-1], point))
    return table


def negative(a: Point) -> Point:
    """Return -a."""
    x, y, z, t = a
    return -x % P, y, z, -t % P


def times_cofactor(a: Point) -> Point:
    """Return 8a: in the subgroup of prime order, and the identity exactly if ``a`` is of low order."""
    return double(double(double(a)))


def is_identity(a: Point) -> bool:
    """Whether a is the neutral point."""
    x, y, z, _ = a
    return x % P == 0 and (y - z) % P == 0


def encode(a: Point) -> bytes:
    """Return the 32 bytes of a point: point_to_string (RFC 8032 section 5.1.2)."""
    x, y, z, _ = a
    inverse = pow(z, -1, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(LENGTH, "little")


def decode(data: bytes) -> Point:
    """Return the point that 32 bytes encode: string_to_point (RFC 8032 section 5.1.3).

    Each point has one encoding: a y that is not below P, and an x of zero with its sign bit set, are refused.

    :raises VrfRefused: they encode none
    """
    if len(data) != LENGTH:
        raise VrfRefused(f"A point has {LENGTH} bytes, not {len(data)}.")
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if y >= P:  # step 1
        raise VrfRefused("A point's y is not below the field's prime.")
    u, v = (y * y - 1) % P, (_D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P  # step 2
    if v * x * x % P == -u % P:  # step 3
        x = x * _ROOT_OF_MINUS_ONE % P
    if v * x * x % P != u:
        raise VrfRefused("These bytes are no point of the curve.")
    if x == 0 and sign:  # step 4
        raise VrfRefused("A point's x is zero, but has a sign.")
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE: Final[Point] = decode((4 * pow(5, -1, P) % P).to_bytes(LENGTH, "little"))
"""The base point B: y = 4/5, x even."""
