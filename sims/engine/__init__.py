"""The engine of a world: events in virtual time, weather, promises."""
