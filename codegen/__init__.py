"""From an int8 `.tflite` to C for a microcontroller."""
