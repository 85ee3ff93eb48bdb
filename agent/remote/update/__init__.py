"""Boot choice, live change, trial, software update."""
