"""Setting up a satellite receiver: the wish, how each maker is told, whether it happened."""
