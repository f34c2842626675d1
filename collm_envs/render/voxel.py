"""A scene as a picture: shaded blocks on a ground; missing ones outlined, wrong and extra ones marked.

Draws with matplotlib (`pip install collm[render]`), which is imported when the first picture is drawn.
Equal scenes give equal pictures, and the size of a picture depends only on the size of the world, so that
the turns of an episode can be the frames of a film.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from collm_envs.render.blocks import difference, look, shaded
from collm_envs.render.faces import Shape, bounds, shapes, ticks, view_of
from collm_envs.task import Scene

WIDTH, DPI = 6.4, 150
"""width of every picture in inches, dots per inch"""
MARGIN, LEGEND = 0.2, 0.56
"""inches around the world, and below it for the legend"""
INK, QUIET, PAPER, FONT = "#24241f", "#8a887e", "#ffffff", "DejaVu Sans"
STYLES: dict[str, tuple[Any, Any, float, Any]] = {
    "ground": ("#f1efe9", "#dfdcd2", 0.8, "solid"),
    "grid": ("none", "#dfdcd2", 0.6, "solid"),
    "shadow": ("#d9d5ca", "none", 0.0, "solid"),
    "missing": ((0.0, 0.447, 0.698, 0.07), (0.0, 0.447, 0.698, 0.55), 0.7, (0, (3, 2))),
    "wrong": ("none", "#e69f00", 1.8, "solid"),
    "extra": ("none", "#e0452c", 1.8, "solid"),
}
"""{role: (fill, edge, line width in points, line style)}"""


def picture(scene: Scene) -> np.ndarray:
    """The scene as (H, W, 3) uint8.  Raises ImportError where matplotlib is missing."""
    canvas = _figure(scene)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save(scene: Scene, path: str | Path) -> None:
    """Write the picture to `path`, by its suffix as .png, .svg or .pdf.

    The same scene gives the same bytes.  Raises ImportError where matplotlib is missing and ValueError
    for another suffix.
    """
    undated = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    suffix = Path(path).suffix.lower()
    if suffix not in undated:
        raise ValueError(f"picture: the suffix must be one of {[*undated]}, got {str(path)!r}")
    canvas = _figure(scene)
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "collm", "svg.fonttype": "none"}):
        canvas.print_figure(path, format=suffix[1:], metadata=undated[suffix])


def _figure(scene: Scene) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install collm[render]") from error
    world = all(scene.size)
    left, bottom, right, top = bounds(scene, view_of(scene)) if world else (0.0, 0.0, 16.0, 10.0)
    unit = min((WIDTH - 2 * MARGIN) / (right - left), 4.6 / (top - bottom))
    height = (top - bottom) * unit + 2 * MARGIN + (LEGEND if world else 0)
    figure = Figure(figsize=(WIDTH, round(height, 2)), dpi=DPI, facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    middle = (left + right) / 2
    axes.set_xlim(middle - WIDTH / unit / 2, middle + WIDTH / unit / 2)
    axes.set_ylim(top + MARGIN / unit - height / unit, top + MARGIN / unit)
    axes.axis("off")
    if world:
        axes.add_collection(_collection(list(shapes(scene, view_of(scene)))))
        for (x, y), label in ticks(scene, view_of(scene)):
            axes.text(x, y, label, size=5.5, color=QUIET, family=FONT, ha="center", va="center")
        _draw_legend(figure, scene)
    else:
        _write_texts(figure, scene, height)
    return FigureCanvasAgg(figure)


def _collection(drawn: Sequence[Shape]) -> Any:
    from matplotlib.collections import PathCollection
    from matplotlib.path import Path as Outline

    fills, edges, widths, dashes, outlines = [], [], [], [], []
    for shape in drawn:
        fill, edge, width, dash = STYLES.get(shape.role) or _block_style(shape)
        closed = fill != "none"
        outlines.append(Outline([*shape.points, shape.points[0]] if closed else list(shape.points)))
        fills.append(fill)
        edges.append(edge)
        widths.append(width)
        dashes.append(dash)
    return PathCollection(
        outlines, facecolors=fills, edgecolors=edges, linewidths=widths, linestyles=dashes, joinstyle="round"
    )


def _block_style(shape: Shape) -> tuple[Any, Any, float, Any]:
    if shape.role == "seam":
        return "none", shape.colour, 0.5, "solid"
    fill = (shape.colour, 0.45) if shape.glassy else shape.colour
    return fill, shaded(shape.colour, 0.68), 0.5, "solid"


def _draw_legend(figure: Any, scene: Scene) -> None:
    """Draw the blocks of the world and the marks in use, in rows below it; positions in inches."""
    entries = [(block, Shape("block", (), look(block).colour)) for block in sorted({*scene.blocks.values()})]
    entries += [
        (f"{name} ({len(cells)})", Shape(name, ()))
        for name, cells in difference(scene)._asdict().items()
        if cells
    ]
    x, y = MARGIN, LEGEND - 0.06
    for name, shape in entries:
        advance = 0.3 + 0.062 * len(name)
        if x + advance > WIDTH:
            x, y = MARGIN, y - 0.19
        _draw_swatch(figure, shape, x, y)
        _write(figure, x + 0.18, y + 0.055, name, va="center_baseline")
        x += advance


def _draw_swatch(figure: Any, shape: Shape, x: float, y: float) -> None:
    from matplotlib.patches import PathPatch, Rectangle
    from matplotlib.path import Path as Outline

    fill, edge, width, dash = STYLES.get(shape.role) or _block_style(shape)
    inches: dict[str, Any] = {"transform": figure.dpi_scale_trans, "facecolor": fill, "edgecolor": edge}
    inches |= {"linewidth": width, "linestyle": dash}
    if shape.role == "extra":
        cross = [(x, y), (x + 0.11, y + 0.11), (x, y + 0.11), (x + 0.11, y)]
        figure.add_artist(PathPatch(Outline(cross, [1, 2, 1, 2]), **inches))
    elif shape.role == "wrong":
        figure.add_artist(PathPatch(Outline([(x, y), (x + 0.11, y + 0.11)]), **inches))
    else:
        figure.add_artist(Rectangle((x, y), 0.11, 0.11, **inches))


def _write_texts(figure: Any, scene: Scene, height: float) -> None:
    """Write titled texts from the top; each gets an equal share of the picture and is cut there."""
    line = 0.155
    room = max(1, int((height - 2 * MARGIN) / line / max(1, len(scene.texts))) - 2)
    y = height - MARGIN
    for title, body in scene.texts.items():
        lines = [part for row in body.splitlines() for part in textwrap.wrap(row, 92) or [""]]
        if len(lines) > room:
            lines = [*lines[: room - 1], "…"]
        _write(figure, MARGIN, y, title, va="top", weight="bold")
        _write(figure, MARGIN, y - 1.2 * line, "\n".join(lines), va="top", linespacing=1.4)
        y -= line * (room + 2)


def _write(figure: Any, x: float, y: float, text: str, **style: Any) -> None:
    from matplotlib.font_manager import findfont, get_font

    glyphs = get_font(findfont(FONT)).get_charmap()
    shown = "".join(c if c == "\n" or ord(c) in glyphs else "\ufffd" for c in text)
    style |= {"size": 7.5, "color": INK, "family": FONT, "transform": figure.dpi_scale_trans}
    figure.text(x, y, shown, parse_math=False, **style)
