"""`coldloop doctor`: is this controller fit to run the agent, and if not, what is to be done.

It looks and does not touch: nothing is written, no request is sent to a device, no setting is
changed. A serial port that no one holds is opened once and closed, as the agent does at its start.
"""
