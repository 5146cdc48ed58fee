"""The service: an API and a page over a queue of films, and the worker processes that make them."""
