"""The thermal-hydraulic plant; imports no other package of this project."""
