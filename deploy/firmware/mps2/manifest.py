"""What is frozen into the firmware: the start-up alone; the agent lies in a slot."""

freeze("$(PORT_DIR)", ("_slots.py", "_start.py"))
