"""Whatever Python users hold their numbers in, as NumPy arrays by the names of a network's inputs. torch is never imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BadData, UsageError
from ..sources.preprocessing import Preprocessing
from ..sources.sample_files import Shapes, of_arrays, read_samples
from ..sources.samples import Samples

Array = npt.NDArray[Any]

MOST_SAMPLES = 4096  # that are taken from a loader, which may be endless


def as_array(value: Any) -> Array:
    """A NumPy array of an array, a list of numbers or a torch tensor."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise BadData(f"{type(value).__name__} holds no numbers")
    return array


def arrays_by_name(given: Sequence[Any], names: Sequence[str]) -> dict[str, Array]:
    """One value for each input, or one mapping by name, as arrays."""
    if len(given) == 1 and isinstance(given[0], Mapping):
        if set(given[0]) != set(names):
            raise BadData(f"arrays {', '.join(given[0]) or 'none'} are given; the network's inputs are {', '.join(names)}")
        return {name: as_array(given[0][name]) for name in names}
    if len(given) != len(names):
        raise BadData(f"{len(given)} arrays are given; the network has {len(names)} inputs: {', '.join(names)}")
    return {name: as_array(value) for name, value in zip(names, given, strict=True)}


def samples_of(given: Any, shapes: Shapes, how: Preprocessing, split: str, with_labels: bool) -> Samples:
    """Inputs that a user gives: a path; an array, one for each input in a tuple, or a mapping by name; or a loader of batches.

    with_labels  the last one of a tuple, or of each batch's, are labels; else a batch's further parts are left out
    """
    if isinstance(given, str | Path):
        return read_samples(Path(given), shapes, how, split)
    names = tuple(shapes)
    if _is_array(given) or isinstance(given, Mapping):
        return _samples([_parts(given, names, with_labels)], shapes, how)
    if isinstance(given, tuple) and all(_is_array(part) for part in given):
        return _samples([_parts(given, names, with_labels)], shapes, how)
    if not isinstance(given, Iterable):
        raise UsageError(f"inputs are a path, arrays or a loader of batches, not {type(given).__name__}")
    batches: list[tuple[dict[str, Array], Array | None]] = []
    count = 0
    for batch in given:
        batches.append(_parts(batch, names, with_labels))
        count += len(next(iter(batches[-1][0].values())))
        if count >= MOST_SAMPLES:
            break
    if not batches:
        raise BadData("the loader gives no batches")
    return _samples(batches, shapes, how)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "detach")


def _parts(batch: Any, names: Sequence[str], with_labels: bool) -> tuple[dict[str, Array], Array | None]:
    """The inputs of one batch, and its labels."""
    if isinstance(batch, Mapping):
        labels = as_array(batch["labels"]) if with_labels and "labels" in batch else None
        return arrays_by_name([{name: value for name, value in batch.items() if name in names}], names), labels
    parts = list(batch) if isinstance(batch, tuple | list) else [batch]
    if with_labels and len(parts) != len(names) + 1:
        raise BadData(f"{len(parts)} parts are given; give the inputs and their labels: (x, labels)")
    if len(parts) < len(names):
        raise BadData(f"{len(parts)} arrays are given; the network has {len(names)} inputs: {', '.join(names)}")
    labels = as_array(parts[len(names)]) if with_labels else None
    return arrays_by_name(parts[: len(names)], names), labels


def _samples(batches: Sequence[tuple[dict[str, Array], Array | None]], shapes: Shapes, how: Preprocessing) -> Samples:
    values = {name: np.concatenate([inputs[name] for inputs, _ in batches]) for name in shapes}
    labels = [part for _, part in batches if part is not None]
    return of_arrays(values, shapes, how, np.concatenate(labels) if labels else None)
