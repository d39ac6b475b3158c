"""Faults on purpose: kills, power losses, bad disks and bad networks, and the checker that judges them."""
