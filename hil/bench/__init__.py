"""The testbed: a row of emulated devices, its plant and its configuration."""
