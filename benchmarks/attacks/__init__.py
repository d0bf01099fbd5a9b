"""What strangers can do to a host: attackers on raw sockets, and a host that is measured meanwhile."""
