"""The emulated devices, each built on a library that the agent does not use."""
