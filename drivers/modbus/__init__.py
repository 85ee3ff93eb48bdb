"""The bus: request queue, timing, timeouts, duplicate and late replies."""
