"""The whole road: from a network or a `.tflite` to a folder with a verdict."""
