"""Other runtimes, doing the same work: each in a process of its own, in an environment of its own."""
