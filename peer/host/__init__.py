"""One process's peers behind one endpoint."""
