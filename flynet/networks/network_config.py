"""What a configuration of any family must say. No torch here."""

from __future__ import annotations

from typing import Protocol


class NetworkConfig(Protocol):
    """A network, whole, as a frozen dataclass: two equal configurations are the same network."""

    @property
    def name(self) -> str: ...
    @property
    def resolution(self) -> int: ...
    @property
    def classes(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """[1, C, H, W]"""
        ...

    def as_dict(self) -> dict[str, float | int | str]: ...
