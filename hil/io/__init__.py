"""The other side of the agent's ports: virtual endpoints and real ports."""
