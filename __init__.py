"""flynet-tiny: from a trained network to proven C on a microcontroller."""

__version__ = "0.1.0"
