"""Where satellites are: elements, propagation, and how they stand over a site. Portable."""
