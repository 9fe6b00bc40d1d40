"""From a network or a `.tflite` to a folder with C, firmware, proof and report."""
