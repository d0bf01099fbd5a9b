"""Chance from the operating system."""

import secrets


class SystemRandomness:
    """Implements `ports.Randomness`."""

    def seed(self) -> int:
        """Return 64 bits that nobody can foretell."""
        return secrets.randbits(64)
