"""People who have a say in what agents do: who they are, and what they have signed."""
