"""The kernel of the bench: event queue, digest, serial line timing, interface of the controller."""
