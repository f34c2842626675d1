"""A scene as a picture: blocks seen from above at an angle, drawn as shaded polygons, back to front."""

from __future__ import annotations

from typing import Any

import numpy as np

from collm_envs.task import Scene


def picture(scene: Scene) -> np.ndarray:
    """(H, W, 3) uint8.  Raises ImportError where matplotlib is missing."""
    figure = _figure(scene)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def _figure(scene: Scene) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.collections import PolyCollection
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install collm[render]") from error
    figure = Figure(figsize=(6, 4), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    polygons, colours = [], []
    for x, y, z in sorted(scene.blocks, key=lambda c: (c[2], c[1], c[0])):
        for corners, shade in (
            (((x, y + 1, z), (x + 1, y + 1, z), (x + 1, y + 1, z + 1), (x, y + 1, z + 1)), 0.9),
            (((x, y, z + 1), (x + 1, y, z + 1), (x + 1, y + 1, z + 1), (x, y + 1, z + 1)), 0.7),
        ):
            polygons.append([(cx - 0.4 * cz, cy - 0.4 * cz) for cx, cy, cz in corners])
            colours.append((shade, shade, shade))
    axes.add_collection(PolyCollection(polygons, facecolors=colours, edgecolors="k"))
    axes.autoscale()
    axes.set_aspect("equal")
    axes.axis("off")
    return figure
