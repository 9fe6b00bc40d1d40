"""A training as a picture: the loss, and accuracies or average precisions, over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..quoting import markup_environment

_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 240, 60, 40
_SERIES = (
    ("train_accuracy", "training", "#c47f17"),
    ("held_out_accuracy", "held out", "#1f6fd1"),
    ("ap50", "AP50", "#c47f17"),
    ("ap", "AP", "#1f6fd1"),
    ("loss", "loss", "#8a8f98"),
)


def learning_curve(history: Sequence[Mapping[str, float]]) -> str:
    """An SVG of those of the epochs' metrics that it knows: shares on a scale of 0 to 1, the loss on one of its own."""
    most = max((epoch["loss"] for epoch in history), default=0.0) or 1.0
    across = _WIDTH / max(1, len(history) - 1)

    def points(name: str) -> str:
        top = most if name == "loss" else 1.0
        values = [min(max(epoch[name] / top, 0.0), 1.0) for epoch in history]
        return " ".join(f"{_LEFT + i * across:.1f},{_TOP + (1 - value) * _HEIGHT:.1f}" for i, value in enumerate(values))

    last = history[-1]
    known = [line for line in _SERIES if line[0] in last]
    series = [
        {
            "points": points(name),
            "colour": colour,
            "text": f"{label} {last[name]:.3f}" if name == "loss" else f"{label} {last[name]:.2%}",
            "x": _LEFT + 170 * index,
        }
        for index, (name, label, colour) in enumerate(known)
    ]
    environment = markup_environment(__package__ or "report")
    view = {
        "series": series,
        "epochs": len(history),
        "most": most,
        "width": _WIDTH,
        "height": _HEIGHT,
        "left": _LEFT,
        "top": _TOP,
    }
    return environment.get_template("learning_curve.svg.j2").render(view)
