"""Ebbtide's protocol as pure machines: events in, actions out; no sockets, files, clock or chance."""
