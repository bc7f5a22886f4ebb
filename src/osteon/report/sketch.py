"""A small figure of a person seen from the front, with the lesion's place marked and L and R written."""

from __future__ import annotations

from osteon.report import svg

# Places on the figure (120 x 260), from the midline to one side, and from the top. Only a sketch: it shows which bone, no more.
PLACES: dict[str, tuple[float, float]] = {
    "skull": (0, 18), "clavicle": (13, 53), "scapula": (20, 64), "humerus": (33, 82), "radius": (41, 118), "ulna": (38, 118),
    "sternum": (0, 70), "hip": (14, 126), "sacrum": (0, 126), "femur": (14, 163), "tibia": (13, 213), "fibula": (17, 213),
}  # fmt: skip
SPINE = {"C": (40.0, 2.2, 7), "T": (56.0, 3.6, 12), "L": (101.0, 4.2, 5), "S": (124.0, 2.0, 1)}
SILHOUETTE = (
    "M60 3C51 3 46 10 46 19C46 27 50 33 54 36L54 43C46 47 34 48 29 54C24 60 23 72 21 86C19 100 16 112 12 132"
    "C11 138 12 143 15 143C18 143 19 139 21 133C25 116 29 102 32 88C34 96 37 104 38 112C38 122 36 132 36 144"
    "C36 166 40 180 41 198C42 216 43 232 44 246C43 251 41 255 46 255C52 255 54 252 54 246C55 226 57 208 57 190"
    "C57 172 59 160 60 148C61 160 63 172 63 190C63 208 65 226 66 246C66 252 68 255 74 255C79 255 77 251 76 246"
    "C77 232 78 216 79 198C80 180 84 166 84 144C84 132 82 122 82 112C83 104 86 96 88 88C91 102 95 116 99 133"
    "C101 139 102 143 105 143C108 143 109 138 108 132C104 112 101 100 99 86C97 72 96 60 91 54C86 48 74 47 66 43"
    "L66 36C70 33 74 27 74 19C74 10 69 3 60 3Z"
)


def place_of(bone: str) -> tuple[float, float] | None:
    """Return where a bone lies on the figure, or None where the sketch does not know it.

    Parameters
    ----------
    bone : str
        Structure id, for example ``hip_right`` or ``vertebra_L3``.
    """
    base, _, side = bone.rpartition("_")
    if bone.startswith("vertebra_"):
        level = side[:1]
        if level not in SPINE or not side[1:].isdigit():
            return None
        top, step, _ = SPINE[level]
        return 60.0, top + step * (int(side[1:]) - 1)
    if side not in ("left", "right"):
        base, side = bone, ""
    if base.startswith("rib_"):
        number = int(base.removeprefix("rib_"))
        away, down = 17.0, 56.0 + 3.4 * (number - 1)
    elif base in PLACES:
        away, down = PLACES[base]
    else:
        return None
    return 60.0 + (away if side == "left" else -away if side == "right" else 0.0), down  # the patient's left is on our right


def body_sketch(bones: list[tuple[str, str]]) -> str:
    """Return the figure with one numbered mark per lesion.

    Parameters
    ----------
    bones : list of (lesion id, structure id)
        Lesions whose bone the sketch does not know are named in the alternative text only.
    """
    body = [svg.path(SILHOUETTE, stroke="#9aa5b1", width=1.2, fill="#eef1f4")]
    marked: list[str] = []
    for lesion, bone in bones:
        place = place_of(bone)
        if place is None:
            continue
        body.append(svg.circle(*place, 6.5, fill="none", stroke="#b3400e", width=2))
        body.append(svg.circle(*place, 2.6, fill="#b3400e"))
        side = 1 if place[0] >= 60 else -1
        body.append(
            svg.text(
                place[0] + 10 * side,
                place[1] + 4,
                lesion,
                size=11,
                weight=700,
                anchor="start" if side > 0 else "end",
                halo="#fff",
            )
        )
        marked.append(f"{lesion} at {bone.replace('_', ' ')}")
    body.append(svg.text(4, 26, "R", size=15, weight=700, fill=svg.SOFT))
    body.append(svg.text(116, 26, "L", size=15, weight=700, fill=svg.SOFT, anchor="end"))
    alt = "Person seen from the front, the patient's right on the left of the picture; " + ("; ".join(marked) or "no mark")
    return svg.document(120, 260, body, alt)
