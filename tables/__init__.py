"""The tables of networks and of microcontrollers."""
