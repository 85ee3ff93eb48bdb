"""Tests of agent/fieldbus."""
