"""The zeep side: one object that is plugin and wsse at once, and the transport that belongs to it."""
