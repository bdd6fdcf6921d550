"""Street scenes that are drawn on the fly: data without a download.

A scene is a perspective view along a street. Everything stands on the ground plane of a pinhole
camera: a point X metres to the right, Y metres up and Z metres ahead is drawn at
``column = vx + f X / Z``, ``row = vy + f (h - Y) / Z``. Things are painted from far to near, into
the picture and the class map alike, then texture, light, haze, blur and noise are added to the
picture.

Colours overlap between the classes on purpose (grey cars on grey roads, white walls before white
skies, coloured clothes, signs and cars): shape and place have to be learned.
"""

import functools
import math

import cv2
import numpy as np

from ..description import IGNORE
from ..errors import UsageError
from ..registry import unknown
from .sample import Sample

ROAD, SIDEWALK, BUILDING, FENCE, POLE, SIGN, TREE, GRASS, SKY, PERSON, CAR = range(11)

SCENES = {"train": 512, "val": 64, "test": 16}
"""The number of scenes per split, unless the caller wants another."""

_SPLITS = {"train": 0, "val": 1, "test": 2}

# How rough the classes look: strength of the fine and of the coarse noise, in grey levels.
_FINE = np.zeros(256, np.float32)
_COARSE = np.zeros(256, np.float32)
for _label, _fine, _coarse in (
    (ROAD, 7, 7),
    (SIDEWALK, 6, 8),
    (BUILDING, 5, 12),
    (FENCE, 6, 8),
    (POLE, 4, 4),
    (SIGN, 3, 3),
    (TREE, 22, 26),
    (GRASS, 16, 16),
    (SKY, 0, 14),
    (PERSON, 6, 6),
    (CAR, 2, 5),
    (IGNORE, 3, 4),
):
    _FINE[_label], _COARSE[_label] = _fine, _coarse


class Streets:
    """A data set of drawn street scenes.

    Scene ``i`` of a split is a pure function of (seed, split, i, size).

    Args:
        info: facts of the catalog entry ``synthetic``.
        split: ``train``, ``val`` or ``test``; their scenes differ.
        size: (height, width) of the pictures.
        scenes: how many. Default: :data:`SCENES`.
        seed: of all scenes.

    Attributes:
        names: the names of the samples, ``train/000000`` and so on.
    """

    root = None
    has_masks = True

    def __init__(self, info, split, size=(240, 320), scenes=None, seed=0):
        if split not in _SPLITS:
            raise unknown(f"split of {info.title}", split, _SPLITS)
        try:
            self.size = tuple(int(v) for v in size)
        except (TypeError, ValueError):
            self.size = ()
        if len(self.size) != 2 or min(self.size) < 32:
            raise UsageError(f"The size {size!r} must be (height, width), each at least 32.")
        scenes = SCENES[split] if scenes is None else int(scenes)
        if scenes < 1 or seed < 0:
            raise UsageError("'scenes' must be at least 1 and 'seed' not negative.")
        self.info, self.split, self.seed = info, split, int(seed)
        self.names = [f"{split}/{index:06d}" for index in range(scenes)]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        name = self.names[index]  # IndexError ends a for loop
        rng = np.random.default_rng([3, self.seed, _SPLITS[self.split], index % len(self)])
        return Sample(*draw(rng, *self.size), name)


def draw(rng, height, width):
    """Draw a scene.

    Args:
        rng: ``numpy.random.Generator``.
        height, width: of the picture.

    Returns:
        image uint8 (height, width, 3) RGB, mask uint8 (height, width).
    """
    scene = _Scene(rng, height, width)
    scene.sky()
    scene.ground()
    scene.things()
    scene.bonnet()
    return scene.finish(), scene.mask


@functools.lru_cache(maxsize=1)
def _tiles():
    """Noise to take textures from: fine and coarse, float32 (1024, 1024), about -1..1."""
    rng = np.random.default_rng(20)
    fine = rng.standard_normal((1024, 1024)).astype(np.float32)
    fine = 0.6 * fine + 0.9 * cv2.GaussianBlur(fine, (0, 0), 1.2) * 3
    coarse = np.zeros((1024, 1024), np.float32)
    for cells in (16, 40, 100, 220):
        small = rng.standard_normal((cells, cells)).astype(np.float32)
        coarse += (
            cv2.resize(small, (1024, 1024), interpolation=cv2.INTER_CUBIC) / (cells / 16) ** 0.5
        )
    return fine / fine.std(), coarse / coarse.std()


def _mix(a, b, t):
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t


def _shade(color, factor):
    return (
        min(255.0, color[0] * factor),
        min(255.0, color[1] * factor),
        min(255.0, color[2] * factor),
    )


def _pixels(points):
    return np.rint(points).astype(np.int32)


class _Scene:
    """The camera, the canvas and what is painted on it."""

    def __init__(self, rng, height, width):
        self.rng, self.height, self.width = rng, height, width
        self.image = np.zeros((height, width, 3), np.uint8)
        self.mask = np.full((height, width), SKY, np.uint8)
        u = rng.uniform
        self.vx, self.vy = width * u(0.36, 0.64), height * u(0.36, 0.5)
        self.f = min(height * 1.33, width) * u(0.8, 1.05)
        self.eye = u(1.3, 1.8)
        # Lateral places in metres, the camera at 0.
        half = u(2.1, 3.6)
        shift = u(-1.2, 1.2)
        self.road = (shift - half, shift + half)
        self.walk = (self.road[0] - u(1.4, 3.2), self.road[1] + u(1.4, 3.2))
        verge = (u(1.5, 8) if rng.random() < 0.7 else 0, u(1.5, 8) if rng.random() < 0.7 else 0)
        self.front = (self.walk[0] - verge[0], self.walk[1] + verge[1])
        self.haze = u(0.0, 0.35)
        self.sky_color = (200.0, 210.0, 220.0)
        self.sun = -1 if rng.random() < 0.5 else 1  # which side is lit

    # -- the camera -------------------------------------------------------------------------

    def at(self, x, y, z):
        """Picture coordinates of a point in metres."""
        return self.vx + self.f * x / z, self.vy + self.f * (self.eye - y) / z

    def near(self):
        """The depth of the ground at the lower edge of the picture."""
        return self.f * self.eye / (self.height - self.vy)

    # -- painting ---------------------------------------------------------------------------

    def polygon(self, points, color, label=None, z=None):
        """Fill a convex polygon; ``z``: mix the colour with the haze of that depth."""
        points = _pixels(points)
        if z is not None:
            color = self.hazy(color, z)
        cv2.fillConvexPoly(self.image, points, color)
        if label is not None:
            cv2.fillConvexPoly(self.mask, points, label)

    def polygons(self, many, color, z):
        """Fill polygons (N, P, 2) that do not overlap, in the picture only."""
        if len(many):
            cv2.fillPoly(self.image, list(_pixels(many)), self.hazy(color, z))

    def circle(self, center, radius, color, label=None, z=None):
        if z is not None:
            color = self.hazy(color, z)
        center = int(round(center[0])), int(round(center[1]))
        radius = max(int(round(radius)), 0)
        cv2.circle(self.image, center, radius, color, -1)
        if label is not None:
            cv2.circle(self.mask, center, radius, label, -1)

    def upright(self, x, z, width, low, high):
        """Corners of a rectangle that faces the camera, in metres."""
        left, top = self.at(x - width / 2, high, z)
        right, bottom = self.at(x + width / 2, low, z)
        return [(left, top), (right, top), (right, bottom), (left, bottom)]

    def hazy(self, color, z):
        return _mix(color, self.sky_color, self.haze * (1 - math.exp(-z / 30)))

    def color(self, low=20, high=235):
        """Any colour, often a greyish one."""
        base = self.rng.uniform(low, high)
        spread = 12 if self.rng.random() < 0.5 else 70
        return tuple(np.clip(base + self.rng.uniform(-spread, spread, 3), low, high))

    # -- background -------------------------------------------------------------------------

    def sky(self):
        rng, u = self.rng, self.rng.uniform
        kind = rng.random()
        if kind < 0.45:  # clear
            top, low = (
                (u(60, 120), u(120, 170), u(190, 245)),
                (u(170, 220), u(200, 230), u(220, 250)),
            )
        elif kind < 0.8:  # overcast
            grey = u(140, 235)
            top = (grey, grey + u(-4, 8), grey + u(0, 14))
            low = _shade(top, u(0.95, 1.15))
        else:  # morning or evening
            top, low = (
                (u(80, 150), u(100, 150), u(150, 200)),
                (u(220, 250), u(170, 210), u(130, 180)),
            )
        self.sky_color = tuple(float(min(c, 255)) for c in low)
        rows = max(int(self.vy) + 2, 2)
        t = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
        ramp = np.float32(top) * (1 - t) + np.float32(self.sky_color) * t
        self.image[:rows] = np.clip(ramp, 0, 255)[:, None].astype(np.uint8)

    def strip(self, x0, x1, color, label, z0=None, z1=400.0):
        """Ground between two lateral places."""
        z0 = self.near() * 0.98 if z0 is None else z0
        points = [self.at(x0, 0, z0), self.at(x0, 0, z1), self.at(x1, 0, z1), self.at(x1, 0, z0)]
        self.polygon(points, color, label)

    def ground(self):
        rng, u = self.rng, self.rng.uniform
        grass = (u(105, 150), u(145, 190), u(55, 90))
        self.strip(-400, 400, grass, GRASS)
        grey = u(60, 135)
        asphalt = (grey + u(-4, 8), grey + u(-4, 4), grey + u(-4, 8))
        paving = _shade((grey + u(-5, 25), grey + u(-5, 15), grey + u(-10, 10)), u(1.15, 1.6))
        self.strip(self.walk[0], self.walk[1], paving, SIDEWALK)
        # Joints of the paving, across.
        step, z = u(0.8, 1.6), self.near()
        joints = []
        while z < 14:
            for a, b in ((self.walk[0], self.road[0]), (self.road[1], self.walk[1])):
                joints.append(
                    [
                        self.at(a, 0, z),
                        self.at(b, 0, z),
                        self.at(b, 0, z + 0.06),
                        self.at(a, 0, z + 0.06),
                    ]
                )
            z += step
        self.polygons(joints, _shade(paving, 0.8), 5)
        self.strip(self.road[0], self.road[1], asphalt, ROAD)
        kerb = _shade(paving, u(0.75, 1.25))
        for x, out in ((self.road[0], -0.15), (self.road[1], 0.15)):
            self.strip(min(x, x + out), max(x, x + out), kerb, SIDEWALK)
        self.markings(asphalt)
        if rng.random() < 0.25:  # the shadow of a row of houses
            x = self.road[0] if self.sun > 0 else self.road[1]
            self.shadow(x, x + self.sun * u(0.8, 3))

    def markings(self, asphalt):
        """Lane marks, zebra crossings and repairs belong to the road."""
        rng, u = self.rng, self.rng.uniform
        white = _mix(asphalt, (245, 245, 240), u(0.35, 1))
        centre = (self.road[0] + self.road[1]) / 2
        if rng.random() < 0.8:
            z, dash, gap = self.near() * 0.9 + u(0, 2), u(1.5, 4), u(1.5, 5)
            marks = []
            while z < 70:
                marks.append(
                    [
                        self.at(centre - 0.07, 0, z),
                        self.at(centre - 0.07, 0, z + dash),
                        self.at(centre + 0.07, 0, z + dash),
                        self.at(centre + 0.07, 0, z),
                    ]
                )
                z += dash + gap
            self.polygons(marks, white, 8)
        if rng.random() < 0.4:
            for x in (self.road[0] + 0.35, self.road[1] - 0.35):
                self.strip(x - 0.06, x + 0.06, white, ROAD)
        if rng.random() < 0.3:
            z = u(5, 16)
            bars = []
            for x in np.arange(self.road[0] + 0.3, self.road[1] - 0.5, 0.9):
                bars.append(
                    [
                        self.at(x, 0, z),
                        self.at(x, 0, z + 2.5),
                        self.at(x + 0.45, 0, z + 2.5),
                        self.at(x + 0.45, 0, z),
                    ]
                )
            self.polygons(bars, white, z)
        for _ in range(rng.integers(0, 4)):
            z, x, w = u(3, 15), u(*self.road), u(0.3, 1.2)
            x0, x1 = np.clip([x - w, x + w], *self.road)
            self.strip(x0, x1, _shade(asphalt, u(0.75, 1.2)), ROAD, z, z + u(0.5, 3))

    def shadow(self, x0, x1):
        points = [
            self.at(x0, 0, self.near()),
            self.at(x0, 0, 200),
            self.at(x1, 0, 200),
            self.at(x1, 0, self.near()),
        ]
        self.darken(points, 0.62)

    def darken(self, points, factor):
        """Multiply the picture within a convex polygon that lies on the ground."""
        points = _pixels(points)
        x, y, w, h = cv2.boundingRect(points)
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, self.width), min(y + h, self.height)
        if x0 >= x1 or y0 >= y1:
            return
        inside = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillConvexPoly(inside, points - (x0, y0), 1)
        part = self.image[y0:y1, x0:x1]
        dark = cv2.convertScaleAbs(part, alpha=factor)
        cv2.copyTo(dark, inside, part)

    # -- things -----------------------------------------------------------------------------

    def things(self):
        """Everything that stands on the ground, from far to near."""
        rng, u = self.rng, self.rng.uniform
        todo = []
        self.horizon()
        for side in (0, 1):
            self.row_of_houses(side, todo)
            sign = (-1, 1)[side]
            if rng.random() < 0.55:  # before all houses, behind all the rest
                todo.append((999.0, self.fence, (side, u(3.5, 9), u(25, 60))))
            for _ in range(rng.integers(0, 5)):
                x = u(*sorted((self.walk[side] - sign * 0.5, self.front[side])))
                todo.append((u(6, 28), self.tree, (x,)))
            for _ in range(rng.integers(1, 4)):
                x = self.road[side] + sign * u(0.3, 0.9)
                todo.append((u(3.5, 8.5), self.pole, (x, sign)))
            for _ in range(rng.integers(0, 4)):
                todo.append(
                    (u(3.5, 7), self.person, (u(*sorted((self.road[side], self.walk[side]))),))
                )
            if rng.random() < 0.55:  # parked cars
                z = u(6, 14)
                for _ in range(rng.integers(1, 4)):
                    todo.append((z, self.car, (self.road[side] - sign * u(0.9, 1.2),)))
                    z += u(6, 9)
        for _ in range(rng.integers(0, 3)):
            todo.append((u(7, 35), self.car, (u(self.road[0] + 1.2, self.road[1] - 1.2),)))
        if rng.random() < 0.3:
            todo.append((u(4, 7), self.person, (u(*self.road),)))
        for z, paint, args in sorted(todo, key=lambda thing: -thing[0]):
            paint(z, *args)

    def horizon(self):
        """Woods or town in the distance, across the end of the street."""
        rng, u = self.rng, self.rng.uniform
        z = 150.0
        woods = rng.random() < 0.6
        color = (u(50, 100), u(80, 120), u(40, 80)) if woods else self.color(90, 190)
        x = -320.0
        while x < 320:
            w, h = u(15, 60), u(4, 16) if woods else u(6, 24)
            self.polygon(
                self.upright(x + w / 2, z, w + 1, 0, h),
                _shade(color, u(0.85, 1.15)),
                TREE if woods else BUILDING,
                z,
            )
            x += w

    def row_of_houses(self, side, todo):
        rng, u = self.rng, self.rng.uniform
        sign = (-1, 1)[side]
        z, density = u(2.0, 9.0), u(0.35, 1.0)
        while z < 90:
            depth = u(7, 18)
            if rng.random() < density:
                x = self.front[side] + sign * (u(0, 2.5) if rng.random() < 0.4 else 0.0)
                todo.append((1000.0 + z, self.house, (side, x, z, z + depth)))
            z += depth + (0.0 if rng.random() < 0.6 else u(1, 6))

    def house(self, _, side, x, z0, z1):
        rng, u = self.rng, self.rng.uniform
        sign = (-1, 1)[side]
        z0 = max(z0, 1.2)
        height, wide = u(4, 20), u(8, 14)
        wall = (
            self.color(60, 225)
            if rng.random() < 0.5
            else _mix((u(150, 200), u(90, 140), u(60, 110)), (200, 190, 170), u(0, 1))
        )
        lit = u(1.0, 1.15) if sign != self.sun else u(0.7, 0.95)
        side_color, end_color = _shade(wall, lit), _shade(wall, 1.85 - lit)
        end = [
            self.at(x, 0, z0),
            self.at(x, height, z0),
            self.at(x + sign * wide, height, z0),
            self.at(x + sign * wide, 0, z0),
        ]
        roof = u(1, 4) if rng.random() < 0.5 else 0
        if roof:
            tiles = (
                (u(90, 160), u(50, 90), u(40, 80)) if rng.random() < 0.5 else self.color(50, 110)
            )
            over = sign * wide / 2
            self.polygon(
                [
                    self.at(x, height, z0),
                    self.at(x + over, height + roof, z0),
                    self.at(x + over, height + roof, z1),
                    self.at(x, height, z1),
                ],
                tiles,
                BUILDING,
                z0,
            )
            self.polygon(
                [end[1], self.at(x + over, height + roof, z0), end[2]], end_color, BUILDING, z0
            )
        self.polygon(end, end_color, BUILDING, z0)
        self.polygon(
            [self.at(x, 0, z0), self.at(x, height, z0), self.at(x, height, z1), self.at(x, 0, z1)],
            side_color,
            BUILDING,
            (z0 + z1) / 2,
        )
        # Windows in storeys on the side, and on the end where it shows.
        glass = self.color(30, 110) if rng.random() < 0.7 else self.color(120, 230)
        storey, bay = u(2.6, 3.4), u(1.8, 3.2)
        win_h, win_w = storey * u(0.4, 0.6), bay * u(0.35, 0.65)
        rows = max(int(height / storey), 1)
        bays = max(int((z1 - z0) / bay), 1)
        gap = (z1 - z0 - bays * bay) / 2
        low = np.arange(rows) * storey + 0.32 * storey
        first = z0 + gap + np.arange(bays) * bay + (bay - win_w) / 2
        y, z = (a.ravel() for a in np.meshgrid(low, first))
        self.panes([x, x], y, y + win_h, z, z + win_w, glass, (z0 + z1) / 2)
        bays = max(int(wide / bay), 1)
        starts = x + sign * (np.arange(bays) * bay + (bay - win_w) / 2)
        y, xs = (a.ravel() for a in np.meshgrid(low, starts))
        self.panes([xs, xs + sign * win_w], y, y + win_h, z0, z0, _shade(glass, 0.9), z0)
        if rng.random() < 0.4:  # a shop
            band = self.color()
            a, b = z0 + 0.3, z1 - 0.3
            self.polygon(
                [self.at(x, 2.4, a), self.at(x, 3.0, a), self.at(x, 3.0, b), self.at(x, 2.4, b)],
                band,
                None,
                z0,
            )

    def panes(self, xs, low, high, z0, z1, color, z):
        x0, x1 = xs
        corners = [(x0, low, z0), (x0, high, z0), (x1, high, z1), (x1, low, z1)]
        count = len(low)
        points = np.empty((count, 4, 2))
        for k, (px, py, pz) in enumerate(corners):
            column, row = self.at(px, py, pz)
            points[:, k, 0], points[:, k, 1] = column, row
        self.polygons(points, color, z)

    def fence(self, _, side, z0, length):
        rng, u = self.rng, self.rng.uniform
        sign = (-1, 1)[side]
        x, height = self.walk[side] + sign * u(0.0, 0.4), u(0.9, 1.5)
        kind = rng.random()
        color = (u(100, 160), u(70, 110), u(40, 80)) if kind < 0.85 else self.color(50, 210)
        z1 = z0 + length
        self.polygon(
            [self.at(x, 0, z0), self.at(x, height, z0), self.at(x, height, z1), self.at(x, 0, z1)],
            color,
            FENCE,
            z0 + 3,
        )
        boards = z0 + np.cumsum(np.full(60, u(0.25, 0.5)))
        boards = boards[boards < z1 - 0.2]
        low, high = np.full(len(boards), 0.0), np.full(len(boards), height * 0.97)
        self.panes([x, x], low, high, boards, boards + 0.09, _shade(color, 0.6), z0 + 5)

    def tree(self, z, x):
        rng, u = self.rng, self.rng.uniform
        height, wide = u(3.0, 9.0), u(1.2, 2.6)
        leaf = (u(35, 80), u(65, 110), u(25, 60))
        if rng.random() < 0.15:
            leaf = (u(140, 190), u(90, 130), u(30, 60))  # autumn
        self.contact(x, z, wide * 0.8)
        bark = (u(60, 100), u(50, 75), u(35, 60))
        self.polygon(self.upright(x, z, u(0.25, 0.5), 0, height * 0.6), bark, TREE, z)
        scale = self.f / z
        cx, cy = self.at(x, height * 0.68, z)
        ry = height * 0.33 * scale
        blobs = [(0.0, 0.0, 0.75)] + [(u(-0.6, 0.6), u(-0.7, 0.7), u(0.35, 0.55)) for _ in range(7)]
        for dx, dy, r in sorted(blobs, key=lambda b: -b[1]):  # lit from above
            tone = _shade(leaf, 1.0 - 0.35 * dy + u(-0.08, 0.08))
            self.circle(
                (cx + dx * wide * scale, cy + dy * ry),
                r * min(wide * scale, ry * 1.2),
                tone,
                TREE,
                z,
            )

    def contact(self, x, z, wide):
        """The shadow below a thing."""
        half = wide * 0.5
        self.darken(
            [
                self.at(x - half, 0, z * 0.97),
                self.at(x + half, 0, z * 0.97),
                self.at(x + half, 0, z * 1.05),
                self.at(x - half, 0, z * 1.05),
            ],
            0.55,
        )

    def pole(self, z, x, sign):
        rng, u = self.rng, self.rng.uniform
        thick = u(0.26, 0.4)
        kind = rng.random()
        color = self.color(40, 200) if rng.random() < 0.1 else _shade((150, 155, 155), u(0.8, 1.3))
        height = u(2.6, 3.6) if kind < 0.75 else u(5, 8)
        self.contact(x, z, 0.5)
        body = self.upright(x, z, thick, 0, height)
        self.polygon(body, color, POLE, z)
        (left, top), (right, _), (_, bottom), _ = body
        bright = (
            (left + (right - left) * 0.65, right)
            if self.sun > 0
            else (left, left + (right - left) * 0.35)
        )
        self.polygon(
            [(bright[0], top), (bright[1], top), (bright[1], bottom), (bright[0], bottom)],
            _shade(color, 1.25),
            None,
            z,
        )
        if kind < 0.5:
            self.sign(x, z, height)
        elif kind < 0.75:
            self.light(x, z, height)
        else:  # a street lamp
            arm = -sign * u(0.8, 1.6)
            self.polygon(
                self.upright(x + arm / 2, z, abs(arm), height - 0.18, height), color, POLE, z
            )
            self.polygon(
                self.upright(x + arm, z, 0.5, height - 0.22, height), _shade(color, 1.2), POLE, z
            )

    def sign(self, x, z, height):
        rng, u = self.rng, self.rng.uniform
        size = u(0.8, 1.2)
        cx, cy = self.at(x, height - size / 2, z)
        r = size / 2 * self.f / z
        kind = rng.integers(0, 4)
        rim = ((200, 30, 35), (200, 30, 35), (25, 70, 160), (230, 200, 40))[kind]
        rim = _shade(rim, u(0.75, 1.15))
        inner = ((240, 240, 235), (240, 240, 235), (60, 110, 200), (245, 240, 225))[kind]
        if kind == 0:
            self.circle((cx, cy), r, rim, SIGN, z)
            self.circle((cx, cy), r * 0.7, inner, None, z)
            self.polygon(self._box(cx, cy, r * 0.3, r * 0.4), (40, 40, 40), None, z)
            return
        shape = {
            1: [(-1.1, 0.9), (0, -1), (1.1, 0.9)],
            2: [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            3: [(0, -1.15), (1.15, 0), (0, 1.15), (-1.15, 0)],
        }[int(kind)]
        for factor, color, label in ((1.0, rim, SIGN), (0.68, inner, None)):
            self.polygon(
                [
                    (cx + r * a * factor, cy + r * (b * factor + (0.1 if kind == 1 else 0)))
                    for a, b in shape
                ],
                color,
                label,
                z,
            )
        if kind < 3:
            self.polygon(
                self._box(cx, cy + r * 0.2, r * 0.14, r * 0.35),
                (240, 240, 240) if kind == 2 else (30, 30, 30),
                None,
                z,
            )

    @staticmethod
    def _box(cx, cy, half_w, half_h):
        return [
            (cx - half_w, cy - half_h),
            (cx + half_w, cy - half_h),
            (cx + half_w, cy + half_h),
            (cx - half_w, cy + half_h),
        ]

    def light(self, x, z, height):
        """A traffic light belongs to the signs."""
        body = self.upright(x, z, 0.5, height - 1.15, height + 0.1)
        self.polygon(body, _shade((45, 50, 45), self.rng.uniform(0.6, 1.6)), SIGN, z)
        on = self.rng.integers(0, 3)
        for k, color in enumerate(((250, 50, 40), (250, 190, 50), (60, 240, 130))):
            center = self.at(x, height - 0.12 - 0.38 * k, z)
            self.circle(
                center, 0.15 * self.f / z, color if k == on else _shade(color, 0.28), None, z
            )

    def person(self, z, x):
        u = self.rng.uniform
        tall, wide = u(1.55, 1.95), u(0.58, 0.76)
        coat, legs, skin = self.color(), self.color(15, 120), _shade((225, 175, 145), u(0.35, 1.1))
        hair = _shade((120, 90, 60), u(0.2, 1.4))
        self.contact(x, z, 0.8)
        stride = u(0.02, 0.22)
        for s in (-1, 1):
            hip, foot = x + s * wide * 0.16, x + s * (wide * 0.16 + stride / 2)
            half = wide * 0.19
            self.polygon(
                [
                    self.at(hip - half, tall * 0.5, z),
                    self.at(hip + half, tall * 0.5, z),
                    self.at(foot + half * 0.7, 0, z),
                    self.at(foot - half * 0.7, 0, z),
                ],
                legs,
                PERSON,
                z,
            )
        half = wide / 2
        self.polygon(
            [
                self.at(x - half, tall * 0.82, z),
                self.at(x + half, tall * 0.82, z),
                self.at(x + half * 0.8, tall * 0.44, z),
                self.at(x - half * 0.8, tall * 0.44, z),
            ],
            coat,
            PERSON,
            z,
        )
        for s in (-1, 1):
            arm = x + s * half
            hand = arm + s * u(0, 0.16)
            self.polygon(
                [
                    self.at(arm - 0.07, tall * 0.81, z),
                    self.at(arm + 0.07, tall * 0.81, z),
                    self.at(hand + 0.06, tall * 0.46, z),
                    self.at(hand - 0.06, tall * 0.46, z),
                ],
                _shade(coat, 0.85),
                PERSON,
                z,
            )
        head = self.at(x, tall * 0.91, z)
        radius = 0.14 * self.f / z
        self.circle((head[0], head[1] - radius * 0.15), radius, hair, PERSON, z)
        self.circle((head[0], head[1] + radius * 0.2), radius * 0.78, skin, PERSON, z)

    def car(self, z, x):
        rng, u = self.rng, self.rng.uniform
        wide, tall, length = u(1.65, 1.95), u(1.35, 1.9), u(3.6, 4.8)
        paint = self.color(25, 240)
        if rng.random() < 0.35:
            grey = u(30, 235)
            paint = (grey, grey, grey)
        belt, clear, back = tall * u(0.52, 0.62), 0.22, z + length
        self.darken(
            [
                self.at(x - wide * 0.56, 0, z * 0.985),
                self.at(x + wide * 0.56, 0, z * 0.985),
                self.at(x + wide * 0.56, 0, back),
                self.at(x - wide * 0.56, 0, back),
            ],
            0.4,
        )
        left, right = x - wide / 2, x + wide / 2
        flank = left if left > 0 else right if right < 0 else None  # the side that shows
        side_tone = _shade(paint, u(0.7, 0.9))
        glass = self.color(20, 90)
        tyre = (28, 28, 30)
        inset = wide * 0.1
        if flank is not None:
            inward = inset if flank == left else -inset
            wheel = np.array([z + length * 0.18, z + length * 0.8])
            self.polygon(
                [
                    self.at(flank, clear, z),
                    self.at(flank, belt, z),
                    self.at(flank, belt, back),
                    self.at(flank, clear, back),
                ],
                side_tone,
                CAR,
                z,
            )
            cabin = [
                (flank, belt, z + length * 0.06),
                (flank + inward, tall, z + length * 0.2),
                (flank + inward, tall, z + length * 0.6),
                (flank, belt, z + length * 0.75),
            ]
            self.polygon([self.at(*p) for p in cabin], side_tone, CAR, z)
            pane = [
                (flank, belt + 0.04, z + length * 0.12),
                (flank + inward, tall - 0.1, z + length * 0.22),
                (flank + inward, tall - 0.1, z + length * 0.56),
                (flank, belt + 0.04, z + length * 0.68),
            ]
            self.polygon([self.at(*p) for p in pane], glass, None, z)
            for zw in wheel:
                cx, cy = self.at(flank, 0.31, zw)
                ry = 0.31 * self.f / zw
                rx = max(
                    abs(self.at(flank, 0, zw - 0.31)[0] - self.at(flank, 0, zw + 0.31)[0]) / 2, 1
                )
                center = int(round(cx)), int(round(cy))
                for factor, color in ((1.0, tyre), (0.55, (150, 150, 155))):
                    axes = int(round(rx * factor)), int(round(ry * factor))
                    cv2.ellipse(self.image, center, axes, 0, 0, 360, self.hazy(color, z), -1)
                    if factor == 1.0:
                        cv2.ellipse(self.mask, center, axes, 0, 0, 360, CAR, -1)
        for s in (-1, 1):  # tyres, end
            self.polygon(self.upright(x + s * wide * 0.38, z, wide * 0.16, 0, 0.4), tyre, CAR, z)
        top = [
            self.at(left + inset * 0.4, belt, z),
            self.at(left + inset * 1.6, tall, z + 0.5),
            self.at(right - inset * 1.6, tall, z + 0.5),
            self.at(right - inset * 0.4, belt, z),
        ]
        self.polygon(top, paint, CAR, z)
        self.polygon(
            [
                self.at(left + inset, belt + 0.03, z),
                self.at(left + inset * 1.9, tall - 0.12, z + 0.45),
                self.at(right - inset * 1.9, tall - 0.12, z + 0.45),
                self.at(right - inset, belt + 0.03, z),
            ],
            glass,
            None,
            z,
        )
        self.polygon(self.upright(x, z, wide, clear, belt), paint, CAR, z)
        self.polygon(
            self.upright(x, z, wide * 0.96, clear, clear + 0.16), _shade(paint, 0.5), None, z
        )
        lamp = (210, 30, 30) if rng.random() < 0.6 else (245, 240, 215)
        for s in (-1, 1):
            self.polygon(
                self.upright(x + s * wide * 0.4, z, wide * 0.16, belt - 0.26, belt - 0.08),
                lamp,
                None,
                z,
            )
        self.polygon(self.upright(x, z, 0.5, clear + 0.2, clear + 0.32), (235, 235, 225), None, z)

    def bonnet(self):
        """Sometimes the own car shows: ignored."""
        if self.rng.random() > 0.2:
            return
        top = self.height * self.rng.uniform(0.94, 0.97)
        w, h = self.width, self.height
        self.polygon(
            [(w * 0.1, h), (w * 0.25, top), (w * 0.75, top), (w * 0.9, h)],
            self.color(15, 120),
            IGNORE,
        )

    # -- the photograph ---------------------------------------------------------------------

    def finish(self):
        """Texture, light, blur and noise."""
        rng, u = self.rng, self.rng.uniform
        height, width = self.height, self.width
        fine, coarse = (self._tile(tile) for tile in _tiles())
        texture = fine * cv2.LUT(self.mask, _FINE)
        texture += coarse * cv2.LUT(self.mask, _COARSE)
        # Light falls off to one side and to the lower edge.
        column = np.linspace(1 - u(0, 0.18), 1 + u(0, 0.1), width, dtype=np.float32)
        if self.sun < 0:
            column = column[::-1]
        row = np.linspace(1.04, u(0.85, 1.04), height, dtype=np.float32)
        light = row[:, None] * column[None]
        warm = u(-0.08, 0.08)
        gain = np.float32([1 + warm, 1, 1 - warm]) * u(0.72, 1.12)
        image = cv2.add(self.image, cv2.cvtColor(texture, cv2.COLOR_GRAY2RGB), dtype=cv2.CV_32F)
        image = cv2.multiply(image, cv2.merge([light * g for g in gain]))
        if rng.random() < 0.7:
            image = cv2.GaussianBlur(image, (3, 3), u(0.4, 0.8))
        noise = self._tile(_tiles()[0]) * np.float32(u(1, 5))
        # Rounds and clips to 8 bits.
        return cv2.add(image, cv2.cvtColor(noise, cv2.COLOR_GRAY2RGB), dtype=cv2.CV_8U)

    def _tile(self, tile):
        """A random piece of noise of the picture's size; repeated if the picture is larger."""
        rows, columns = tile.shape
        y, x = int(self.rng.integers(0, rows)), int(self.rng.integers(0, columns))
        if self.height <= rows and self.width <= columns:
            y, x = y * (rows - self.height) // rows, x * (columns - self.width) // columns
            return tile[y : y + self.height, x : x + self.width]
        ys, xs = (np.arange(self.height) + y) % rows, (np.arange(self.width) + x) % columns
        return tile[np.ix_(ys, xs)]
