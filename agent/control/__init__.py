"""The control laws: one file a loop."""
