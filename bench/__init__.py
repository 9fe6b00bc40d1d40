"""Instructions of single layers and whole networks on the emulated board, beside those of the peers."""
