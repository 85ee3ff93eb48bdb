"""The live page of the bench: what a technician sees, breaks, swaps and signs, in a browser."""
