"""Draws how much of its bound each figure uses up, as SVG. Knows figures only."""

import math
from collections.abc import Sequence
from html import escape

from bench.figures import Figure, ordered

WIDTH, LABELS, RIGHT = 1180, 660, 110  # the line's words are left of the scale, its value right
ROW, HEAD, FOOT = 18, 70, 30
LEAST, MOST = 0.01, 10.0  # of the scale; what lies beyond stands at its end
TICKS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
COLOURS = {"postgres": "#33658a", "sqlite": "#d17a22"}
OTHER = "#666666"
ABOUT = "share of the bound that is used up, on a logarithmic scale; right of 1 it is missed"
STYLE = (
    "text{font:12px sans-serif;fill:#222}.small{fill:#666}.miss{fill:#b00020;font-weight:bold}"
    ".grid{stroke:#ddd}.bound{stroke:#222;stroke-width:1.5}.new{stroke:#bbb}"
)


def svg(figures: Sequence[Figure], title: str) -> str:
    """The plot of all figures that have a bound: left of the line 1 it holds."""
    rows = [figure for figure in ordered(figures) if figure.bound is not None]
    height = HEAD + ROW * len(rows) + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="8" y="20" style="font-size:15px">{escape(title)}</text>',
        f'<text x="8" y="38" class="small">{ABOUT}</text>',
        *_legend(),
        *_scale(height),
    ]
    before = ""
    for number, figure in enumerate(rows):
        parts += _row(figure, HEAD + ROW * number, is_new=figure.target != before)
        before = figure.target
    return "\n".join([*parts, "</svg>\n"])


def _legend() -> list[str]:
    parts = []
    for number, (name, colour) in enumerate(COLOURS.items()):
        x = LABELS + 130 * number
        parts.append(f'<circle cx="{x}" cy="16" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{x + 10}" y="20">{name}</text>')
    return parts


def _scale(height: int) -> list[str]:
    parts = []
    for tick in TICKS:
        x, kind = _x(tick), "bound" if tick == 1 else "grid"
        end = height - FOOT + 4
        parts.append(f'<line x1="{x}" x2="{x}" y1="{HEAD - 6}" y2="{end}" class="{kind}"/>')
        for y in (HEAD - 10, end + 14):
            parts.append(
                f'<text x="{x}" y="{y}" text-anchor="middle" class="small">{tick:g}</text>'
            )
    return parts


def _row(figure: Figure, top: int, *, is_new: bool) -> list[str]:
    share = figure.share
    assert share is not None
    middle, text = top + ROW / 2, top + ROW / 2 + 4
    colour = COLOURS.get(figure.db, OTHER)
    kind = ' class="miss"' if not figure.is_met else ""
    sign = "≥" if figure.is_least else "≤"
    value = f"{figure.value:.3g} {sign} {figure.bound:g} {figure.unit}"
    parts = []
    if is_new:
        parts.append(f'<line x1="8" x2="{WIDTH - 8}" y1="{top}" y2="{top}" class="new"/>')
        parts.append(f'<text x="8" y="{text}">{figure.target}</text>')
    return [
        *parts,
        f'<text x="44" y="{text}"{kind}>{escape(figure.what)}</text>',
        f'<line x1="{_x(LEAST)}" x2="{_x(share)}" y1="{middle}" y2="{middle}" stroke="{colour}"/>',
        f'<circle cx="{_x(share)}" cy="{middle}" r="5" fill="{colour}"/>',
        f'<text x="{WIDTH - RIGHT + 10}" y="{text}"{kind}>{escape(value)}</text>',
    ]


def _x(share: float) -> float:
    """Where a share stands on the scale, in pixels from the left."""
    inside = min(max(share, LEAST), MOST)
    part = math.log(inside / LEAST) / math.log(MOST / LEAST)
    return round(LABELS + part * (WIDTH - RIGHT - LABELS), 1)
