"""What puts the agent on machines: sample configuration, packages, images."""
