"""People over HTTP: what they look at and say as JSON, signed; and what waits for them, posted to webhooks."""
