"""What this process does about signals."""
