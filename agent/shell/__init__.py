"""What turns the agent's crank on each platform: ports in, bytes and deadlines through."""
