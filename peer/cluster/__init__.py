"""A handle on a running cluster: launch, submit, look, roll back."""
