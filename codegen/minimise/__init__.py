"""What a graph computes for nothing goes, exactly: channels that never change, and what nobody reads."""
