"""A technician's probes, one file each; `drivers.commands` is the table that leads to them."""
