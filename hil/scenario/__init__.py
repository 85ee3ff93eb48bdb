"""Scenario and suite files, checks, evaluation."""
