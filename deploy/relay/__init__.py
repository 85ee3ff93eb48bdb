"""Ground relay."""
