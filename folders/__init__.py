"""Folders that appear whole or not at all: scratch folders, output folders, and what in them is ours."""
