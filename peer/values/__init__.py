"""Users' values as bytes, and back."""
