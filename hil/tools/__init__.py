"""The subcommands of `coldloop hil`, one module each (see `drivers.tools.lib.command_group`)."""
