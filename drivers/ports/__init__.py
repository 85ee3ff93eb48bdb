"""The only room that touches an operating system or a board."""
