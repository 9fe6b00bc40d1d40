"""The firmware project of a C library on a chip: its files, boards, compiler, stack and sizes."""
