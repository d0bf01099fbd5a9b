"""Policies side by side: who goes back how far, and asks whom, is judged by the same faults in the same worlds."""
