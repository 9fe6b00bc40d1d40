"""From the bytes of a stranger's `.tflite` to a verified `Graph`, floor by floor.

    flatbuffer   bounds-checked tables, vectors and strings
    schema       the numbers of TFLite's schema: element types, operator codes, option slots
    parse        bytes -> FileModel: every index and type checked, nothing understood yet
    normalise    FileModel -> FileModel: what converters write in many forms, in the one form that the builder knows;
                 each rewriting has a file (fold_constants, channel_axes, reshape_kinds, space_to_batch, float_ends)
    operands     what each operator takes and gives
    build        FileModel -> Graph: what the operators mean

`codegen/supported_ops.py` holds the rules between normalise and build; `codegen/tflite_reader.py` is the door.
"""
