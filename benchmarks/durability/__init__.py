"""The durability benchmark: what its runs are, and what is made of them."""
