"""The service side: middleware for any WSGI SOAP application, and a demonstration service to try it with."""
