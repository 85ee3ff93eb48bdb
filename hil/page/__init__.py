"""The live web page of the bench."""
