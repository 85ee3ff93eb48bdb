"""Remote management: signed changes, commands and updates of operators."""
