"""What a user writes, and what runs it: agents, their context, state, tools, spaces."""
