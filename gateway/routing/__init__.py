"""From a request to its handler and back: the table of routes, the dispatcher, answers on the wire, CORS."""
