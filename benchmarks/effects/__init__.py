"""Effects in the world outside, through kills and rollbacks: Ebbtide beside LangGraph and DBOS."""
