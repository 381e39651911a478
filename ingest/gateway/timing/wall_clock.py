"""Maps a device's time to wall time: the running minimum of (arrival - device time), with its
slope.

Radio delay only ever adds, so the truth is the line under all points of the last 20 minutes. With a
plain minimum a device clock that is wrong by 1 % would run away by 36 s an hour; the line follows
it. It is the edge of the points' lower convex hull over their middle, which is the line below all
points that lies closest to them (Moon, Skelly, Towsley: Estimation and removal of clock skew from
network delay measurements, INFOCOM 1999, doi:10.1109/INFCOM.1999.749287).

What is reported never jumps: it is drawn towards that line by at most 0.5 %, which changes an RR
interval of a second by 5 ms while it lasts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

CELL_S = 5.0  # length of a stretch, of which the point of least delay is kept
WINDOW = 240  # stretches: 20 minutes
LEARN = 6  # stretches until a slope is believed
MAX_SLOPE = 0.03
MAX_SLEW = 0.005
SLEW_S = 20.0  # an error is drawn away within about this time
MAX_ERROR_S = 1.0  # more than this is no drift: somebody's clock was set

Point = tuple[float, float]


class ClockSetError(Exception):
    """Wall time and device time have parted by more than can be drawn together."""


class WallClock:
    """Wall time of one device's times, which come in order, both in nanoseconds."""

    def __init__(self) -> None:
        self._origin: tuple[float, int] | None = None  # (device time, wall time) of the first block
        self._cells: deque[Point] = deque(maxlen=WINDOW)  # (device time, offset), s since origin
        self._open: Point | None = None  # of least offset in the stretch that is not over
        self._ends_s = CELL_S
        self._level = self._slope = 0.0  # the line: offset = level + slope * device time
        self._told: Point | None = None  # last (device time, offset) reported

    @property
    def rate_error(self) -> float:
        """By how much the device's clock is slow against this machine's (0.01: by 1 %)."""
        return self._slope

    def learn(self, device_ns: float, received_ns: int) -> None:
        """Take in that a block that ended at `device_ns` arrived at `received_ns`."""
        if self._origin is None:
            self._origin = (device_ns, received_ns)
        at_s = self._since(device_ns)
        offset_s = (received_ns - self._origin[1]) / 1e9 - at_s
        if self._open is not None and at_s >= self._ends_s:
            self._cells.append(self._open)
            self._open, self._ends_s = None, at_s + CELL_S
            self._fit(at_s)
        if self._open is None or offset_s < self._open[1]:
            self._open = (at_s, offset_s)
        self._level = min(self._level, offset_s - self._slope * at_s)

    def wall_ns(self, device_ns: float) -> int:
        """Return the wall time of a device time, ns. Raises ClockSetError if that would have to jump."""
        assert self._origin is not None
        at_s = self._since(device_ns)
        true_s = self._level + self._slope * at_s
        if self._told is None:
            self._told = (at_s, true_s)
        before_s, offset_s = self._told
        passed_s = max(at_s - before_s, 0.0)
        offset_s += self._slope * passed_s
        error_s = true_s - offset_s
        if abs(error_s) > MAX_ERROR_S:
            raise ClockSetError(f"this machine's or the device's clock was set by {error_s:+.1f} s")
        limit_s = MAX_SLEW * passed_s
        offset_s += min(max(error_s * min(passed_s / SLEW_S, 1.0), -limit_s), limit_s)
        self._told = (max(at_s, before_s), offset_s)
        return self._origin[1] + round((at_s + offset_s) * 1e9)

    def _since(self, device_ns: float) -> float:
        assert self._origin is not None
        return (device_ns - self._origin[0]) / 1e9

    def _fit(self, now_s: float) -> None:
        """The line under the points of the window."""
        while self._cells[0][0] < now_s - WINDOW * CELL_S and len(self._cells) > 1:
            self._cells.popleft()
        if len(self._cells) < LEARN:
            self._level = min(offset - self._slope * at for at, offset in self._cells)
            return
        hull = lower_hull(self._cells)
        middle = (self._cells[0][0] + self._cells[-1][0]) / 2
        right = next(i for i, (at, _) in enumerate(hull) if at >= middle)
        (x0, y0), (x1, y1) = hull[max(right - 1, 0)], hull[max(right, 1)]
        self._slope = min(max((y1 - y0) / (x1 - x0), -MAX_SLOPE), MAX_SLOPE)
        self._level = min(offset - self._slope * at for at, offset in self._cells)


def lower_hull(points: Iterable[Point]) -> list[Point]:
    """The lower convex hull of points in order of x (Andrew's monotone chain)."""
    hull: list[Point] = []
    for x, y in points:
        while len(hull) > 1 and _above(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    return hull


def _above(a: Point, b: Point, c: Point) -> bool:
    """Whether b lies on or above the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])
