"""What turns the agent's crank on the bench: in virtual time, in lock-step, in real time."""
