"""The testbed: one row of emulated devices, its plant and its configuration."""
