"""What stands behind the agent's ports: virtual endpoints and real ports."""
