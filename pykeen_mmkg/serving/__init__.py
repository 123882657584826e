"""A trained run as a service: questions over HTTP, answered as JSON, and a page to explore them with."""
