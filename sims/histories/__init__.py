"""Random histories of machines alone, judged by an oracle."""
