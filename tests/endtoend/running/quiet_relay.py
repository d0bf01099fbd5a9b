"""The agents of `relay.py`, without the program that hands in."""

from relay import agents as agents
