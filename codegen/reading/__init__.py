"""From the bytes of a stranger's `.tflite` to a verified `Graph`, floor by floor.

    flatbuffer   bounds-checked tables, vectors and strings
    schema       the numbers of TFLite's schema: element types, operator codes, option slots
    parse        bytes -> FileModel: every index and type checked, nothing understood yet
    build        FileModel -> Graph: what the operators mean

`codegen/supported_ops.py` holds the rules between parse and build; `codegen/tflite_reader.py` is the door.
"""
