"""Networks trained, and any form of a network evaluated on labelled images."""
